package scheduler

import (
	"context"
	"time"
)

// RunOptions are those of Run.
type RunOptions struct {
	Parallel int         // most steps at a time; 0 or less: no limit
	Notify   func(Event) // never called twice at once; nil: nobody listens
}

// States of an Event.
const (
	Started EventState = "started"
	Done    EventState = "done"
	Failed  EventState = "failed"
	Warned  EventState = "warning" // failed, and the plan goes on
	Skipped EventState = "skipped" // never begun, because a step before it failed
)

// EventState is how far a step is.
type EventState string

// Event is a change of a step's state.
type Event struct {
	Step    Step // nil for a container that runs as it should
	State   EventState
	ID      string // "Container shop-web-1"
	Text    string // "Starting", "Started", "Running", "Error"; "": nothing to show
	Err     error  // with Failed and Warned
	Elapsed time.Duration
}

// Run does the plan's steps.
func Run(ctx context.Context, p Plan, h Host, o RunOptions) error {
	return errPending
}
