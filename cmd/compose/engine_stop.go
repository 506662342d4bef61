package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/systemd"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/volumes"
)

// engineStop ends the agent, then the daemons, once no container runs.
func (a *app) engineStop(ctx context.Context, force bool) error {
	r, err := a.find(ctx)
	if err != nil {
		return err
	}
	if r.engine == nil && r.bundle.Used() && containersMayRun(r) {
		if r, err = a.startEngine(ctx); err != nil { // only it can tell, and stop them
			return err
		}
	}
	if err := ownAgent(ctx, r); err != nil {
		return err
	}
	if r.engine != nil {
		if err := a.endRunning(ctx, r, force); err != nil {
			return err
		}
	}
	if err := endDaemons(ctx, r); err != nil {
		return err
	}
	return (systemd.Groups{Tag: r.root.Tag()}).Release(ctx)
}

// endDaemons ends what runs of an engine without containers, and leaves nothing
// mounted.
func endDaemons(ctx context.Context, r *rooms) error {
	if r.engine != nil {
		if err := endIdleShims(ctx, r); err != nil {
			return err
		}
	}
	if err := r.agent.Stop(ctx); err != nil {
		return fmt.Errorf("stop the agent: %w", err)
	}
	if err := cleanNetwork(ctx, r); err != nil {
		return err
	}
	if err := r.bundle.Stop(ctx); err != nil {
		return err
	}
	return volumes.OpenStore(r.root).Unmount()
}

// containersMayRun reports whether there are pipes that a container writes to.
func containersMayRun(r *rooms) bool {
	entries, err := os.ReadDir(r.root.StreamsDir())
	return err == nil && len(entries) > 0
}

// cleanNetwork takes away what the engine has put into the kernel and no
// container needs any more.
func cleanNetwork(ctx context.Context, r *rooms) error {
	h, err := netplan.NewHost(r.root)
	if err != nil {
		return fmt.Errorf("open the host's network: %w", err)
	}
	return h.Cleanup(ctx)
}

// endRunning stops what runs, or refuses to.
func (a *app) endRunning(ctx context.Context, r *rooms, force bool) error {
	if force {
		return endContainers(ctx, r)
	}
	running, err := runningContainers(ctx, r)
	if err != nil {
		return err
	}
	switch len(running) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("container %s is running: stop it first, or use --force", running[0].Name)
	default:
		return fmt.Errorf("%d containers are running, %s among them: stop them first, or use --force", len(running), running[0].Name)
	}
}

func runningContainers(ctx context.Context, r *rooms) ([]engine.Container, error) {
	containers, err := r.engine.Observe(ctx, "")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(containers, func(c engine.Container) bool { return !alive(c.State) }), nil
}

// endContainers stops containers with the engine: those first that depend on
// others, with the time that each is given, and without a note that somebody
// did not want them to run. The next start of the engine has them back.
func endContainers(ctx context.Context, r *rooms) error {
	if err := r.agent.Rest(ctx); err != nil {
		return err
	}
	running, err := runningContainers(ctx, r)
	if err != nil {
		return err
	}
	var errs []error
	for len(running) > 0 {
		now, later := independent(running)
		errs = append(errs, endTogether(ctx, r, now))
		running = later
	}
	return errors.Join(errs...)
}

// endIdleShims ends shims that have lost their containers: once containerd is
// gone nobody is there who would.
func endIdleShims(ctx context.Context, r *rooms) error {
	idle, err := r.engine.IdleShims(ctx)
	if err != nil {
		return fmt.Errorf("look for shims without a container: %w", err)
	}
	for _, s := range idle {
		if err := r.engine.EndIdleShim(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// independent parts containers into those that no other of them depends on, and
// the rest. Where each depends on another, as after a change of the file, the
// order is of no use, and all are of the first kind.
func independent(containers []engine.Container) (now, later []engine.Container) {
	for _, c := range containers {
		if slices.ContainsFunc(containers, func(other engine.Container) bool { return dependsOn(other, c) }) {
			later = append(later, c)
		} else {
			now = append(now, c)
		}
	}
	if len(now) == 0 {
		return later, nil
	}
	return now, later
}

func endTogether(ctx context.Context, r *rooms, containers []engine.Container) error {
	var g errgroup.Group // without a context: one that cannot be stopped does not spare the others
	for _, c := range containers {
		g.Go(func() error {
			if err := r.engine.Stop(ctx, c.ID, c.Record.StopSignal, c.Record.StopGrace); err != nil && !errors.Is(err, engine.ErrNotFound) {
				return fmt.Errorf("stop %s: %w", c.Name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// dependsOn tells whether a container's service depends on that of another.
func dependsOn(c, other engine.Container) bool {
	return c.Record.Project == other.Record.Project && c.Record.Service != other.Record.Service &&
		slices.ContainsFunc(c.Record.DependsOn, func(d project.Dependency) bool { return d.Service == other.Record.Service })
}
