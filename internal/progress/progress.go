// Package progress shows what a command is doing: one line a resource on a
// terminal, redrawn in place; plain lines or JSON lines elsewhere; or nothing.
//
// A command makes one Display with New, emits Events from any goroutine, and
// closes it. Whatever else the command writes to the same terminal meanwhile
// goes through Display.Write, so that the two never mix.
package progress

import (
	"fmt"
	"io"

	"github.com/compose-first/compose/internal/escape"
)

// Status is how far a resource is.
type Status string

// The states of a resource, spelled as the JSON lines show them.
const (
	Working Status = "Working"
	Done    Status = "Done"
	Warning Status = "Warning"
	Error   Status = "Error"
)

// Event is news of one resource.
type Event struct {
	ID       string // "Container shop-web-1"
	ParentID string // the image that a layer belongs to; else empty
	Status   Status
	Text     string // "Starting"
	Details  string
	Current  int64 // bytes of Total; 0 when not known
	Total    int64
}

// Display shows events. All its methods are safe for concurrent use.
type Display interface {
	// Emit shows an event.
	Emit(Event)
	// Write calls write while nothing of the display is on the screen.
	Write(write func())
	// Settle leaves what is shown as it is: from now on only errors and
	// warnings are shown, a line each.
	Settle()
	// Close shows the last state and gives the terminal back. Later events
	// are dropped. It may be called more than once.
	Close()
}

// Mode is how progress is shown.
type Mode string

// The modes of --progress.
const (
	Auto  Mode = "auto"
	TTY   Mode = "tty"
	Plain Mode = "plain"
	JSON  Mode = "json"
	Quiet Mode = "quiet"
)

// ParseMode reads a value of --progress; "none" is another word for quiet.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case "":
		return Auto, nil
	case "none":
		return Quiet, nil
	case Auto, TTY, Plain, JSON, Quiet:
		return m, nil
	}
	return "", fmt.Errorf("unsupported --progress value %q", s)
}

// Options say what a Display shows and where.
type Options struct {
	Mode      Mode
	Operation string                   // head line of the terminal form: "up"
	Out       io.Writer                // standard error
	Size      func() (width, rows int) // of the terminal; needed by TTY alone
	Color     bool                     // TTY alone
	DryRun    bool                     // mark every line
}

// New returns the display that o asks for. Auto is taken as Plain: whether Out
// is a terminal is for the caller to know.
func New(o Options) Display {
	switch o.Mode {
	case TTY:
		return newTTY(o)
	case JSON:
		return &jsonDisplay{out: escape.Writer(o.Out), dryRun: o.DryRun}
	case Quiet:
		return &quietDisplay{}
	default:
		return &plainDisplay{out: o.Out, dryRun: o.DryRun, shown: map[string]string{}}
	}
}
