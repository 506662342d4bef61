package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/project"
)

const (
	// bootPatience is how long a container that boots waits for those that it
	// depends on to be started and healthy. Then it starts all the same: after
	// a reboot, most of an application is better than none of it.
	bootPatience = 90 * time.Second

	// bootParallel is how many containers are started at once.
	bootParallel = 8

	// bootLook is how often it looks.
	bootLook = 50 * time.Millisecond
)

// boot starts the containers that the start of the engine starts, when this is
// one: the machine has booted since, or the engine was stopped.
func (r *restarts) boot(containers []engine.Container) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = true
	defer r.applyLater()
	if r.ctx == nil || sameBoot(r.agent.Root) {
		return
	}
	var all []engine.Container
	for _, c := range containers {
		if wantsBoot(c) {
			r.starts[c.ID] = true
			all = append(all, c)
		}
	}
	r.wg.Add(1)
	go func(ctx context.Context) {
		defer r.wg.Done()
		r.bootAll(ctx, all)
		if ctx.Err() == nil {
			if err := markBoot(r.agent.Root); err != nil {
				r.agent.Log.Error("note boot", "error", err)
			}
		}
	}(r.ctx)
}

// applyLater has the containers looked at that were held back until boot had
// chosen its own.
func (r *restarts) applyLater() {
	latest := r.latest
	go r.apply(latest)
}

// bootAll starts containers, each after those it depends on.
func (r *restarts) bootAll(ctx context.Context, all []engine.Container) {
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() {
			err := r.bootOne(ctx, c, all)
			if err != nil && ctx.Err() == nil {
				r.agent.Log.Error("start after boot", "container", c.Name, "error", err)
			}
			r.mu.Lock()
			delete(r.starts, c.ID)
			r.givenUp[c.ID] = err != nil
			r.mu.Unlock()
			r.agent.cache.poke(c.ID)
		})
	}
	wg.Wait()
}

// bootOne starts a container once those of all that it depends on are ready.
func (r *restarts) bootOne(ctx context.Context, c engine.Container, all []engine.Container) error {
	if err := r.awaitDependencies(ctx, c, all); err != nil {
		return err
	}
	now, err := r.settle(ctx, c.ID)
	if errors.Is(err, engine.ErrNotFound) || err == nil && !ended(now) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer r.slots.Release(1)
	r.agent.Log.Info("start after boot", "container", c.Name)
	return r.startAnew(ctx, now)
}

// awaitDependencies waits until what c depends on is as it has to be, as far
// as the boot starts it, but no longer than bootPatience.
func (r *restarts) awaitDependencies(ctx context.Context, c engine.Container, all []engine.Container) error {
	deadline := time.Now().Add(bootPatience)
	for _, d := range c.Record.DependsOn {
		for _, other := range all {
			if other.Record.Project != c.Record.Project || other.Record.Service != d.Service || other.Record.OneOff {
				continue
			}
			for !r.satisfied(other.ID, d.Condition) {
				if time.Now().After(deadline) {
					r.agent.Log.Warn("start without what it depends on", "container", c.Name, "dependency", other.Name)
					return nil
				}
				if err := pause(ctx, bootLook); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// satisfied reports whether a container that boots is as those need it that
// depend on it; one whose start was given up counts as well.
func (r *restarts) satisfied(id, condition string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.latest, func(c engine.Container) bool { return c.ID == id })
	if i < 0 {
		return true
	}
	c := r.latest[i]
	if !up(c) { // also one that was started just now: nobody has looked yet
		return r.givenUp[id]
	}
	return condition != project.ConditionHealthy || c.Record.Health == nil || c.Health == statusHealthy
}

// booting reports whether containers are still to be started by boot, as far
// as anybody knows: before the first list nobody does.
func (r *restarts) booting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.open || len(r.starts) > 0
}

// sameBoot reports whether the engine was up before in this boot of the
// machine, and not stopped since.
func sameBoot(root layout.Root) bool {
	b, err := os.ReadFile(root.BootMark())
	return err == nil && strings.TrimSpace(string(b)) == layout.BootID()
}

// markBoot notes that the engine is up in this boot of the machine.
func markBoot(root layout.Root) error {
	if err := os.MkdirAll(filepath.Dir(root.BootMark()), 0o700); err != nil {
		return fmt.Errorf("note boot: %w", err)
	}
	if err := os.WriteFile(root.BootMark(), []byte(layout.BootID()+"\n"), 0o600); err != nil {
		return fmt.Errorf("note boot: %w", err)
	}
	return nil
}

// forgetBoot makes the next start of the agent one of the engine.
func forgetBoot(root layout.Root) error {
	if err := os.Remove(root.BootMark()); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("forget boot: %w", err)
	}
	return nil
}
