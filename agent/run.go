package agent

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/lock"
	"github.com/compose-first/compose/netplan"
)

// agent is the agent process: parts that each look after one thing, and a
// cache of containers that tells them what is.
type agent struct {
	Config
	client   atomic.Pointer[engine.Client]
	net      *netplan.Host
	networks *netplan.Store
	cache    *cache
	names    *names
	ports    *publishing
	health   *health
	restarts *restarts
	pipes    *pipes
	mend     *mender
}

// Run is the agent process; it returns when ctx ends.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	debug.SetGCPercent(heapGrowth)
	debug.SetMemoryLimit(agentLimit)
	turn, err := lock.Take(ctx, cfg.Root.Lock("agent-run"), "compose agent run", nil)
	if err != nil {
		return fmt.Errorf("wait for the agent before: %w", err)
	}
	defer turn.Release()
	if err := noteStage(cfg.Root.Pid("agent"), stageStarting); err != nil {
		return err
	}
	a, err := newAgent(cfg)
	if err != nil {
		return err
	}
	defer a.ports.close()
	api, err := listen(cfg.Root.AgentSocket())
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	a.names.begin(ctx)
	a.health.begin(ctx)
	a.restarts.begin(ctx)
	g.Go(func() error { return keepLogger(ctx, cfg.Root, cfg.Log) })
	g.Go(func() error { return a.serve(ctx, api) })
	g.Go(func() error { return a.cache.run(ctx) })
	g.Go(func() error { return a.names.run(ctx) })
	g.Go(func() error { return a.health.run(ctx) })
	g.Go(func() error { return a.restarts.run(ctx) })
	g.Go(func() error { return a.mend.run(ctx) })
	g.Go(func() error { return returnMemory(ctx) })
	err = g.Wait()
	a.pipes.close()
	return err
}

func newAgent(cfg Config) (*agent, error) {
	net, err := netplan.NewHost(cfg.Root)
	if err != nil {
		return nil, fmt.Errorf("open the host's network: %w", err)
	}
	a := &agent{Config: cfg, net: net, networks: netplan.OpenStore(cfg.Root)}
	a.cache = newCache(a)
	a.names = newNames(a)
	a.ports = newPublishing(a)
	a.health = newHealth(a)
	a.restarts = newRestarts(a)
	a.pipes = newPipes(cfg.Root)
	a.mend = newMender(a)
	return a, nil
}

// engine is the connection to containerd; the cache has made it before any
// other part is told of a container.
func (a *agent) engine() *engine.Client { return a.client.Load() }

// apply makes everything agree with what containers there are. Each thing is
// tried and what fails is logged; the error is that of published ports, which
// whoever brings a service up wants to know of.
func (a *agent) apply(ctx context.Context, containers []engine.Container) error {
	a.pipes.hold(containers)
	if err := a.names.apply(containers); err != nil {
		a.Log.Error("serve names", "error", err)
	}
	err := a.ports.apply(ctx, containers, false)
	if err != nil {
		a.Log.Error("published ports", "error", err)
	}
	a.health.apply(containers)
	a.restarts.apply(containers)
	return err
}

// served notes that this agent has come as far as to serve names.
func (a *agent) served() {
	if err := noteStage(a.Root.Pid("agent"), stageReady); err != nil {
		a.Log.Error("note that names are served", "error", err)
	}
}

// pause waits, and returns the error of ctx if that ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Logger is the logger process, which starts `binary agent run` and keeps it
// alive; it returns when ctx ends.
func Logger(ctx context.Context, root layout.Root, binary string) error {
	return supervise(ctx, root, binary)
}
