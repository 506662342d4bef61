// Package boot has the engine started, watched and stopped by a real systemd:
// a machine in a container, whose first process systemd is, which loses its
// power and boots again. docs/security.md and docs/architecture.md say what is
// promised of boots.
package boot

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/compose-first/compose/internal/enginetest"
)

// engine runs the machine. The machine has an engine of its own.
var engine *enginetest.Engine

func TestMain(m *testing.M) { os.Exit(withEngine(m)) }

// withEngine runs the tests and then checks that nothing is left of them: no
// process, mount, interface or cgroup, in whatever depth of namespaces it was.
func withEngine(m *testing.M) int {
	ctx := context.Background()
	e, err := enginetest.New(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the engine:", err)
		return 1
	}
	engine = e
	code := 1
	if err := e.LoadImage(ctx, "systemd"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	if err := e.Close(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "after the last test:", err)
		return 1
	}
	return code
}
