// Package faults breaks things on purpose and looks at what a user would lose:
// commands, the agent, the engine's daemons and containers are killed, the
// power goes, disks fill up. It drives the built binary from outside.
//
// `go test ./e2e/faults` runs the short form; `make faults` sets
// COMPOSE_FAULTS=long for the long one and prints a table of figures.
package faults

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/compose-first/compose/internal/enginetest"
)

// long says which form runs.
var long = os.Getenv("COMPOSE_FAULTS") == "long"

// times is how often a fault is tried.
func times(short, inLong int) int {
	if long {
		return inLong
	}
	return short
}

// row is what became of one kind of fault.
type row struct {
	Fault                         string
	Tried, Survived, Lost, Leaked int
}

// results gathers the rows of all tests for the table at the end.
type results struct {
	mu   sync.Mutex
	rows []row
}

func (r *results) add(w row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, w)
}

func (r *results) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FAULT\tTRIED\tSURVIVED\tLOST\tLEAKED")
	for _, x := range r.rows {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", x.Fault, x.Tried, x.Survived, x.Lost, x.Leaked)
	}
	_ = w.Flush()
	return b.String()
}

var table results

func TestMain(m *testing.M) {
	code := m.Run()
	fmt.Print(table.String())
	os.Exit(code)
}

// engine starts a private engine with the busybox image for one test, and
// fails the test if anything is left of it at the end.
func engine(t *testing.T) (context.Context, *enginetest.Engine) {
	t.Helper()
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	t.Cleanup(stop)
	e, err := enginetest.New(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	if err := e.LoadBusybox(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx, e
}
