package host

import (
	"errors"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/scheduler"
	"github.com/compose-first/compose/volumes"
)

// edge turns the other rooms' classes of error into the scheduler's.
func edge(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, engine.ErrNotFound), errors.Is(err, netplan.ErrNotFound), errors.Is(err, volumes.ErrNotFound):
		return &notFound{err}
	case errors.Is(err, engine.ErrInUse):
		return scheduler.ErrInUse
	}
	return err
}

// notFound is another room's error that the scheduler, too, takes for
// scheduler.ErrNotFound.
type notFound struct{ cause error }

func (e *notFound) Error() string   { return e.cause.Error() }
func (e *notFound) Unwrap() []error { return []error{scheduler.ErrNotFound, e.cause} }

// gone is nil for an error that says that the thing is not there.
func gone(err error) error {
	if errors.Is(edge(err), scheduler.ErrNotFound) {
		return nil
	}
	return err
}
