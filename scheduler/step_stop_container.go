package scheduler

import (
	"context"
	"errors"
	"time"
)

// StopContainer stops a container.
type StopContainer struct {
	Ref
	Timeout *time.Duration // nil: the service's stop_grace_period
	Kind    StopKind
	Because string
}

// StopKind says what a stop is part of.
type StopKind int

const (
	StopForGood StopKind = iota // an end in itself, or before a removal
	StopReplaced
	StopRestart
)

func (s StopContainer) String() string {
	if s.Kind == StopReplaced {
		return line("stop old", s.short(), s.Because)
	}
	return line("stop", s.short(), s.Because)
}

// Do stops the container. One that is gone is stopped.
func (s StopContainer) Do(ctx context.Context, h Host) error {
	if err := h.StopContainer(ctx, s.Ref, s.Timeout); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// Progress is a container being stopped. Of one that is replaced nothing is
// shown, since its successor has the same name.
func (s StopContainer) Progress() (id, doing, done string) {
	switch s.Kind {
	case StopReplaced:
		return containerID(s.Name), "", ""
	case StopRestart:
		return containerID(s.Name), "Restarting", ""
	}
	return containerID(s.Name), "Stopping", "Stopped"
}
