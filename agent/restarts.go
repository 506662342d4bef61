package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/project"
)

// exitLost is the exit code of a container that ended with the machine.
// Source: Docker Engine, which shows 255 for those too.
const exitLost = "255"

// commandPatience is how long a command that stops a container has to settle
// its end before the agent does.
const commandPatience = 200 * time.Millisecond

// restarts is the part that looks after containers which have ended: it writes
// down how, and starts them again where their policy says so.
type restarts struct {
	agent *agent

	mu     sync.Mutex
	ctx    context.Context          // that all of it ends with; nil before begin, and after run or rest
	cancel context.CancelFunc       // of ctx
	cares  map[string]*care         // one a container that needs it
	pauses map[string]time.Duration // by id, the pause before its last restart
	starts map[string]bool          // containers that the boot pass is to start

	givenUp map[string]bool // those of them that it could not start
	open    bool            // boot has chosen what it starts; before that nothing is cared for
	latest  []engine.Container
	wg      sync.WaitGroup
	slots   *semaphore.Weighted // for those that start at once
}

// care is what is done about one container.
type care struct {
	poke   chan struct{} // something about the container has changed
	cancel context.CancelFunc
}

func newRestarts(a *agent) *restarts {
	return &restarts{
		agent: a, cares: map[string]*care{}, pauses: map[string]time.Duration{},
		starts: map[string]bool{}, givenUp: map[string]bool{}, slots: semaphore.NewWeighted(bootParallel),
	}
}

// begin lets the part work until ctx ends; run has to be called then.
func (r *restarts) begin(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx, r.cancel = context.WithCancel(ctx)
}

// rest ends what is under way, and has nothing begun any more.
func (r *restarts) rest() {
	r.mu.Lock()
	r.ctx = nil
	r.cancel()
	r.mu.Unlock()
	r.wg.Wait()
}

// run lets cares live until ctx ends.
func (r *restarts) run(ctx context.Context) error {
	<-ctx.Done()
	r.rest()
	return ctx.Err()
}

// apply begins to care for each container that needs it, and tells those under
// care that something has changed.
func (r *restarts) apply(containers []engine.Container) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latest = containers
	if r.ctx == nil || !r.open {
		return // what a boot starts is not to be started out of its order
	}
	there := map[string]bool{}
	for _, c := range containers {
		there[c.ID] = true
		if k := r.cares[c.ID]; k != nil {
			select {
			case k.poke <- struct{}{}:
			default:
			}
			continue
		}
		if needsCare(c) && !r.starts[c.ID] {
			r.attend(c)
		}
	}
	for id := range r.pauses {
		if !there[id] {
			delete(r.pauses, id)
		}
	}
	for id, k := range r.cares {
		if !there[id] {
			k.cancel()
		}
	}
}

// attend starts to care for a container. r.mu is held.
func (r *restarts) attend(c engine.Container) {
	id := c.ID
	ctx, cancel := context.WithCancel(r.ctx)
	k := &care{poke: make(chan struct{}, 1), cancel: cancel}
	r.cares[id] = k
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		defer cancel()
		err := r.yield(ctx, c)
		if err == nil {
			err = r.care(ctx, id, k.poke)
		}
		r.mu.Lock()
		delete(r.cares, id)
		r.mu.Unlock()
		if err != nil && ctx.Err() == nil && !errors.Is(err, engine.ErrNotFound) {
			r.agent.Log.Error("look after container", "container", id, "error", err)
		}
		if ctx.Err() == nil {
			r.agent.cache.poke(id) // what changed meanwhile may need care again
		}
	}()
}

// yield waits a moment where a container is not to be restarted: a command that
// has stopped it writes down its end itself, and needs no help with it.
func (r *restarts) yield(ctx context.Context, c engine.Container) error {
	if wantsRestart(c, c.RestartCount) {
		return nil
	}
	if err := pause(ctx, commandPatience); err != nil {
		return err
	}
	now, err := r.agent.engine().Inspect(ctx, c.ID)
	if err == nil && !needsCare(now) {
		err = engine.ErrNotFound // nothing left to care for
	}
	return err
}

// care settles the end of a container, and starts it again for as long as its
// policy says so and starting it fails.
func (r *restarts) care(ctx context.Context, id string, poke <-chan struct{}) error {
	for failed := 0; ; failed++ {
		c, err := r.settle(ctx, id)
		if err != nil {
			return err
		}
		if !ended(c) {
			return nil
		}
		count := c.RestartCount + failed
		if !wantsRestart(c, count) {
			return r.setRestarting(ctx, c, false)
		}
		if err := r.setRestarting(ctx, c, true); err != nil {
			return err
		}
		if again, err := r.await(ctx, c, poke); err != nil || again {
			failed--
			if err != nil {
				return err
			}
			continue
		}
		r.agent.Log.Info("restart", "container", c.Name, "count", count+1, "exit", c.ExitCode)
		err = r.restart(ctx, c, count+1)
		if err == nil || errors.Is(err, engine.ErrConflict) || errors.Is(err, engine.ErrNotFound) || ctx.Err() != nil {
			return nil
		}
		r.agent.Log.Error("restart", "container", c.Name, "error", err)
	}
}

// snapshot is the containers as the agent knows them.
func (r *restarts) snapshot() []engine.Container {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest
}

// settle writes down how the container ended, also where nobody can know.
func (r *restarts) settle(ctx context.Context, id string) (engine.Container, error) {
	c, err := r.agent.engine().Settle(ctx, id)
	if err != nil || !lost(c) {
		return c, err
	}
	err = r.agent.engine().SetLabels(ctx, id, map[string]string{
		project.LabelExitCode:   exitLost,
		project.LabelFinishedAt: time.Now().UTC().Format(time.RFC3339Nano),
		project.LabelHealth:     "",
	})
	if err != nil {
		return c, err
	}
	return r.agent.engine().Inspect(ctx, id)
}

// setRestarting notes whether a container waits to be started again.
func (r *restarts) setRestarting(ctx context.Context, c engine.Container, waits bool) error {
	value := ""
	if waits {
		value = "true"
	}
	if c.Labels[project.LabelRestarting] == value {
		return nil
	}
	return r.agent.engine().SetLabels(ctx, c.ID, map[string]string{project.LabelRestarting: value})
}

// await waits as long as a container has to before its restart. again says
// that it changed meanwhile in a way that counts.
func (r *restarts) await(ctx context.Context, c engine.Container, poke <-chan struct{}) (again bool, err error) {
	r.mu.Lock()
	d := nextPause(r.pauses[c.ID], c.FinishedAt.Sub(c.StartedAt))
	r.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-timer.C:
			r.mu.Lock()
			r.pauses[c.ID] = d
			r.mu.Unlock()
			return false, nil
		case <-poke:
			now, err := r.agent.engine().Inspect(ctx, c.ID)
			if err != nil {
				return false, err
			}
			if now.Stopped || !ended(now) {
				return true, nil
			}
		}
	}
}

// restart starts a container again: with what it has, if that is still there,
// or with its network and files made anew.
func (r *restarts) restart(ctx context.Context, c engine.Container, count int) error {
	if hasResolver(c) {
		if _, err := inode(r.agent.Root.Netns(c.ID)); err != nil {
			return r.startAnew(ctx, c)
		}
	}
	if err := r.agent.names.ready(c); err != nil {
		r.agent.Log.Warn("names before restart", "container", c.Name, "error", err)
	}
	return r.agent.engine().Restart(ctx, c.ID, count)
}

func (r *restarts) startAnew(ctx context.Context, c engine.Container) error {
	if err := r.agent.Start(ctx, r.agent.engine(), c); err != nil {
		return err
	}
	return r.agent.names.ready(c)
}
