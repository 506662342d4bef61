package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/compose-first/compose/internal/escape"
)

// DryRunMark begins each plain line of a command that changes nothing.
const DryRunMark = " DRY-RUN MODE - "

// plainDisplay writes a line for each change of a resource's text.
type plainDisplay struct {
	mu      sync.Mutex
	out     io.Writer
	dryRun  bool
	settled bool
	closed  bool
	shown   map[string]string // last line of each resource: byte counts alone make no new line
}

func (d *plainDisplay) Emit(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.settled && e.Status != Error && e.Status != Warning {
		return
	}
	line := plainLine(e)
	if d.shown[e.ID] == line {
		return
	}
	d.shown[e.ID] = line
	if d.dryRun {
		line = DryRunMark + line
	}
	fmt.Fprintln(d.out, line)
}

func (d *plainDisplay) Write(write func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	write()
}

func (d *plainDisplay) Settle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settled = true
}

func (d *plainDisplay) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// plainLine is " ID TEXT [DETAILS]", whatever the parts hold on one line.
func plainLine(e Event) string {
	parts := make([]string, 0, 3)
	for _, s := range []string{e.ID, e.Text, e.Details} {
		if s != "" {
			parts = append(parts, escape.Line(s))
		}
	}
	return " " + strings.Join(parts, " ")
}

// quietDisplay shows nothing.
type quietDisplay struct{ mu sync.Mutex }

func (d *quietDisplay) Emit(Event) {}

func (d *quietDisplay) Write(write func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	write()
}

func (d *quietDisplay) Settle() {}
func (d *quietDisplay) Close()  {}
