package scheduler

import (
	"context"
	"errors"
)

// KillContainer sends a signal to a running container.
type KillContainer struct {
	Ref
	Signal  string // name with or without "SIG", or a number
	Because string
}

func (s KillContainer) String() string { return line("kill", s.short(), s.Because) }

// Do sends the signal. A container that is gone needs none.
func (s KillContainer) Do(ctx context.Context, h Host) error {
	if err := h.KillContainer(ctx, s.Ref, s.Signal); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// Progress is a container being killed, whatever the signal.
func (s KillContainer) Progress() (id, doing, done string) {
	return containerID(s.Name), "Killing", "Killed"
}
