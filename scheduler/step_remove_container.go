package scheduler

import (
	"context"
	"errors"
)

// RemoveContainer removes a container that does not run.
type RemoveContainer struct {
	Ref
	Volumes  bool // its anonymous volumes too
	Replaced bool // a new one has its name
	Because  string
}

func (s RemoveContainer) String() string {
	if s.Replaced {
		return line("remove old", s.short(), s.Because)
	}
	return line("remove", s.short(), s.Because)
}

// Do removes the container. One that is gone is removed.
func (s RemoveContainer) Do(ctx context.Context, h Host) error {
	if err := h.RemoveContainer(ctx, s.Ref, s.Volumes); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// Progress is a container being removed, or the last part of its being
// recreated.
func (s RemoveContainer) Progress() (id, doing, done string) {
	if s.Replaced {
		return containerID(s.Name), "", "Recreated"
	}
	return containerID(s.Name), "Removing", "Removed"
}
