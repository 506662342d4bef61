package host

import (
	"sync"

	"github.com/compose-first/compose/engine"
)

// shimGroupSize is how many containers share a shim: enough that a shim's
// memory hardly counts, few enough that one that dies takes few along.
// The figures are in docs/decisions.md.
const shimGroupSize = 10

// shimGroups hands out shims to the containers of one run. A group is never
// joined by a later run: its shim might be on its way out.
type shimGroups struct {
	mu      sync.Mutex
	current string
	free    int
}

// next is the group of the next container.
func (g *shimGroups) next() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free == 0 {
		g.current, g.free = engine.NewID()[:16], shimGroupSize
	}
	g.free--
	return g.current
}
