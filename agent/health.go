package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/healthlog"
	"github.com/compose-first/compose/project"
)

// resumeSpread is how long at most a new agent waits before it probes a
// container whose health is known, so that not all are probed at once.
const resumeSpread = 5 * time.Second

// unavailablePause is the pause before a probe that containerd could not run
// is tried again.
const unavailablePause = time.Second

// health is the part that probes containers: a prober for each that runs and
// has a check.
type health struct {
	agent *agent
	execs func(ctx context.Context, id string, cfg engine.ExecConfig) (int, error)
	label func(ctx context.Context, id string, labels map[string]string) error

	mu      sync.Mutex
	ctx     context.Context // that all of it ends with; nil before begin and after run
	probers map[string]*prober
}

// prober probes one run of one container.
type prober struct {
	container engine.Container
	check     project.Health
	cancel    context.CancelFunc
	ended     chan struct{}
}

func newHealth(a *agent) *health {
	return &health{
		agent: a, probers: map[string]*prober{},
		execs: func(ctx context.Context, id string, cfg engine.ExecConfig) (int, error) {
			return a.engine().Exec(ctx, id, cfg)
		},
		label: func(ctx context.Context, id string, labels map[string]string) error {
			return a.engine().SetLabels(ctx, id, labels)
		},
	}
}

// begin lets the part work until ctx ends; run has to be called then.
func (h *health) begin(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ctx = ctx
}

// run lets probers live until ctx ends.
func (h *health) run(ctx context.Context) error {
	<-ctx.Done()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ctx = nil
	for id := range h.probers {
		h.drop(id)
	}
	return ctx.Err()
}

// apply gives every running container with a check its prober. Those of paused
// containers end: probing goes on with what the label says.
func (h *health) apply(containers []engine.Container) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx == nil {
		return
	}
	wanted := map[string]bool{}
	for _, c := range containers {
		if c.State != engine.StateRunning || c.Record.Health == nil || probeArgs(c.Record.Health.Test) == nil {
			continue
		}
		wanted[c.ID] = true
		if p := h.probers[c.ID]; p != nil {
			if p.container.StartedAt.Equal(c.StartedAt) {
				continue
			}
			h.drop(c.ID)
		}
		h.follow(c)
	}
	for id := range h.probers {
		if !wanted[id] {
			h.drop(id)
		}
	}
}

// follow starts a prober. h.mu is held.
func (h *health) follow(c engine.Container) {
	ctx, cancel := context.WithCancel(h.ctx)
	p := &prober{container: c, check: withDefaults(*c.Record.Health), cancel: cancel, ended: make(chan struct{})}
	h.probers[c.ID] = p
	go func() {
		defer close(p.ended)
		h.probe(ctx, p)
	}()
}

// drop ends a prober; it need not be waited for. h.mu is held.
func (h *health) drop(id string) {
	h.probers[id].cancel()
	delete(h.probers, id)
}

// probe probes a container until ctx ends.
func (h *health) probe(ctx context.Context, p *prober) {
	path := h.agent.Root.HealthLog(p.container.ID)
	v := newVitals(p.container.Health, p.container.StartedAt, p.check)
	log := healthlog.Log{}
	if v.Succeeded {
		log, _ = healthlog.Read(path) // a garbled one begins anew
		if pause(ctx, rand.N(min(p.check.Interval, resumeSpread))) != nil {
			return
		}
	}
	for {
		result, err := h.once(ctx, p)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, engine.ErrUnavailable) {
			if pause(ctx, unavailablePause) != nil {
				return
			}
			continue
		}
		before := v
		v = v.after(p.check, result.ExitCode == 0, result.End)
		log.Add(result)
		log.Status, log.FailingStreak = v.Status, v.Streak
		if err := healthlog.Write(path, log); err != nil {
			h.agent.Log.Warn("keep probe", "container", p.container.Name, "error", err)
		}
		if v.Status != before.Status {
			h.tell(ctx, p.container, v.Status)
		}
		v = v.wait(p.check, result.End)
		if pause(ctx, v.Pause) != nil {
			return
		}
	}
}

// once runs the check once. Its error is that of containerd, where the probe
// says nothing of the container.
func (h *health) once(ctx context.Context, p *prober) (healthlog.Probe, error) {
	limited, cancel := context.WithTimeout(ctx, p.check.Timeout)
	defer cancel()
	var out output
	result := healthlog.Probe{Start: time.Now().UTC()}
	code, err := h.execs(limited, p.container.ID, engine.ExecConfig{
		Args: probeArgs(p.check.Test), Stdout: &out, Stderr: &out,
	})
	result.End = time.Now().UTC()
	result.ExitCode, result.Output = code, out.String()
	switch {
	case err == nil:
		return result, nil
	case errors.Is(err, engine.ErrUnavailable) || errors.Is(err, engine.ErrNotFound):
		return result, engine.ErrUnavailable
	case limited.Err() != nil:
		result.ExitCode = -1
		result.Output += fmt.Sprintf("Health check exceeded timeout (%v)", p.check.Timeout)
	default:
		result.ExitCode = -1
		result.Output += err.Error()
	}
	return result, nil
}

// tell writes a new status to the container's label.
func (h *health) tell(ctx context.Context, c engine.Container, status string) {
	err := h.label(ctx, c.ID, map[string]string{project.LabelHealth: status})
	if err != nil && !errors.Is(err, engine.ErrNotFound) && ctx.Err() == nil {
		h.agent.Log.Error("note health", "container", c.Name, "status", status, "error", err)
	}
}

// output keeps the beginning of what a probe writes to both its streams.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if room := healthlog.MaxOutput - o.buf.Len(); room > 0 {
		o.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
