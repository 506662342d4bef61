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
	Fault    string
	Tried    int // how often the fault was done
	Survived int // of these, after how many everything held
	Lost     int // and after how many it did not
	Leaked   int // things that were there at the end and should not have been
	Note     string
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
	fmt.Fprintln(w, "FAULT\tTRIED\tSURVIVED\tLOST\tLEAKED\tNOTE")
	for _, x := range r.rows {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\n", x.Fault, x.Tried, x.Survived, x.Lost, x.Leaked, x.Note)
	}
	_ = w.Flush()
	return b.String()
}

var (
	table  results
	shared *enginetest.Engine // that of all faults: each finds it as the one before has left it
)

func TestMain(m *testing.M) { os.Exit(withEngine(m)) }

// withEngine runs the tests, prints the table, and checks that nothing is left.
func withEngine(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	e, err := enginetest.New(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the engine:", err)
		return 1
	}
	shared = e
	code := 1
	if err := e.LoadBusybox(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	fmt.Print(table.String())
	if err := e.Close(context.WithoutCancel(ctx)); err != nil {
		fmt.Fprintln(os.Stderr, "after the last fault:", err)
		return 1
	}
	return code
}
