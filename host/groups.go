package host

import (
	"sync"

	"github.com/compose-first/compose/engine"
)

// A shim that dies takes its containers along, so a container has one of its
// own, until a run makes so many that their memory counts: then containers
// share. The figures are in docs/decisions.md.
const (
	ownShims      = 20 // how many containers of a run have a shim of their own
	shimGroupSize = 10 // how many of the others share one
)

// shimGroups hands out shims to the containers of one run. A group is never
// joined by a later run: its shim might be on its way out.
type shimGroups struct {
	mu      sync.Mutex
	made    int // containers so far
	current string
}

// next is the group of the next container, "" for a shim of its own.
func (g *shimGroups) next() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	shared := g.made - ownShims
	g.made++
	if shared < 0 {
		return ""
	}
	if shared%shimGroupSize == 0 {
		g.current = engine.NewID()[:16]
	}
	return g.current
}
