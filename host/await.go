package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/scheduler"
)

// Health as labels have it.
const (
	healthy   = "healthy"
	unhealthy = "unhealthy"
)

// AwaitHealthy waits until a container is healthy.
func (h *Host) AwaitHealthy(ctx context.Context, r scheduler.Ref) error {
	return h.await(ctx, r, func(c engine.Container) (bool, error) {
		if c.Record.Health == nil {
			return false, fmt.Errorf("container %s has no health check, and others wait for it to be healthy: give service %q a healthcheck",
				c.Name, r.Service)
		}
		return h.ready(c)
	})
}

// AwaitReady waits until a container runs, and is healthy where it has a check.
func (h *Host) AwaitReady(ctx context.Context, r scheduler.Ref) error {
	return h.await(ctx, r, h.ready)
}

// ready judges a container that others wait for.
func (h *Host) ready(c engine.Container) (bool, error) {
	switch {
	case c.State == engine.StateExited || c.State == engine.StateDead:
		if !c.Stopped && c.Record.Restart.Again(c.ExitCode, c.RestartCount) {
			return false, nil
		}
		return false, &scheduler.Unhealthy{Container: c.Name, Exited: true, ExitCode: c.ExitCode, Output: h.lastLines(c)}
	case c.Health == unhealthy:
		return false, &scheduler.Unhealthy{Container: c.Name, Output: h.lastProbe(c)}
	case c.State != engine.StateRunning:
		return false, nil
	}
	return c.Record.Health == nil || c.Health == healthy, nil
}

// AwaitCompleted waits until a container has ended with code 0.
func (h *Host) AwaitCompleted(ctx context.Context, r scheduler.Ref) error {
	return h.await(ctx, r, func(c engine.Container) (bool, error) {
		if c.State != engine.StateExited && c.State != engine.StateDead {
			return false, nil
		}
		if c.ExitCode != 0 {
			return false, &scheduler.Incomplete{Service: r.Service, ExitCode: c.ExitCode, Output: h.lastLines(c)}
		}
		return true, nil
	})
}

// await looks at a container now and after each event of it, until judge is
// done with it.
func (h *Host) await(ctx context.Context, r scheduler.Ref, judge func(engine.Container) (bool, error)) error {
	id, err := h.id(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, errs := h.Engine.Events(ctx, "") // before the first look, so that nothing falls between
	for {
		c, err := h.Engine.Inspect(ctx, id)
		if err != nil {
			return edge(err)
		}
		if done, err := judge(c); done || err != nil {
			return err
		}
		if err := next(ctx, id, events, errs); err != nil {
			return err
		}
	}
}

// next waits for an event of a container.
func next(ctx context.Context, id string, events <-chan engine.Event, errs <-chan error) error {
	for {
		select {
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			if e.ID == id {
				return nil
			}
		case err, ok := <-errs:
			if ok && err != nil {
				return fmt.Errorf("follow events: %w", err)
			}
			return errors.New("follow events: the stream ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
