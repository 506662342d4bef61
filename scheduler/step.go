package scheduler

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Step is one act on the machine. It can be repeated.
type Step interface {
	// String is the step's line in a plan, with its reason in brackets:
	// "create web-2 (scaled to 2)".
	String() string
	Do(ctx context.Context, h Host) error
	// Progress is what to show of the step: what it acts on ("Container
	// shop-web-1"), and a word while it lasts and one when it is done. An empty
	// word is not shown.
	Progress() (id, doing, done string)
}

// interruptible steps are given up when another one fails: they take long, and
// nothing is half done after them. All others are left to end.
type interruptible interface{ interruptible() }

// waiting steps do nothing themselves, so they do not count against the limit
// of steps at a time.
type waiting interface{ waiting() }

// kept is the error of a removal that was given up: a warning.
type kept struct{ err error }

func (k kept) Error() string { return k.err.Error() }
func (k kept) Unwrap() error { return k.err }

// removed is the outcome of a removal: what is gone already is success, what
// is in use is kept.
func removed(err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case errors.Is(err, ErrInUse):
		return kept{err}
	}
	return err
}

// line is how a step reads in a plan.
func line(act, what, because string) string {
	if because == "" {
		return act + " " + what
	}
	return act + " " + what + " (" + because + ")"
}

// short is how a plan names a container: service and number, or its full name
// when it is a one-off.
func short(service string, number int, name string) string {
	if number == 0 {
		return name
	}
	return service + "-" + strconv.Itoa(number)
}

func (r Ref) short() string { return short(r.Service, r.Number, r.Name) }

// shownDependents is how many dependents a reason lists by name.
const shownDependents = 3

func neededBy(services []string) string {
	if more := len(services) - shownDependents; more > 0 {
		return fmt.Sprintf("for %s and %d more", strings.Join(services[:shownDependents], ", "), more)
	}
	return "for " + strings.Join(services, ", ")
}

// IDs of things in progress lines.
func containerID(name string) string { return "Container " + name }
func networkID(name string) string   { return "Network " + name }
func volumeID(name string) string    { return "Volume " + name }
func imageID(ref string) string      { return "Image " + ref }
