package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/compose-first/compose/engine"
)

const (
	// relist is how often everything is listed although nothing seems to have
	// happened: an event may get lost, a hand may change what is ours.
	relist = 30 * time.Second

	// again is how long after its beginning a session lists once more: the
	// first events may come before containerd has noted who wants to hear of them.
	again = 300 * time.Millisecond

	// gather is how long the cache waits for more events after the first, and
	// spacing how far apart it looks at least: what happens alone is acted upon
	// at once, and an up of many services makes a few changes out of many.
	gather  = 8 * time.Millisecond
	spacing = 60 * time.Millisecond

	// fewDirty is up to how many containers are looked at one by one; beyond
	// that, two listings of all cost less.
	fewDirty = 3

	// The pause between tries to reach containerd: the first, and the longest,
	// to which it doubles.
	firstReconnect = 50 * time.Millisecond
	lastReconnect  = 2 * time.Second

	// backWithin is how long a command waits for containerd to be back.
	backWithin = 10 * time.Second
)

// cache knows the containers. It lists them first, then follows events, and
// tells the agent of each change.
type cache struct {
	agent *agent
	syncs chan chan error // each is answered once all that is now is applied
	pokes chan string     // ids to look at again

	containers map[string]engine.Container // run's own
	booted     bool                        // the boot pass is done or under way
}

func newCache(a *agent) *cache {
	return &cache{agent: a, syncs: make(chan chan error), pokes: make(chan string, 64)}
}

// sync returns once all that containerd holds now is applied.
func (c *cache) sync(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case c.syncs <- done:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run follows containerd until ctx ends, and comes back to it when it was gone.
func (c *cache) run(ctx context.Context) error {
	for wait := firstReconnect; ; wait = min(2*wait, lastReconnect) {
		began := time.Now()
		err := c.session(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) > lastReconnect {
			wait = firstReconnect
		}
		c.agent.Log.Warn("containerd is gone", "error", err)
		if c.agent.EnsureEngine != nil {
			if err := c.agent.EnsureEngine(ctx); err != nil {
				c.agent.Log.Error("start the engine", "error", err)
			}
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// session is one connection to containerd, from its beginning to its end.
func (c *cache) session(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client, err := c.agent.Connect(ctx)
	if err != nil {
		return err
	}
	if old := c.agent.client.Swap(client); old != nil {
		_ = old.Close()
	}
	events, errs := client.Events(ctx, "")
	go func() {
		// Calls under way would wait for containerd to come back, and it is the
		// agent that has it come back.
		if err := <-errs; err != nil {
			cancel(err)
		}
	}()
	if err := c.presume(ctx); err != nil {
		return err
	}
	if _, err := c.list(ctx); err != nil {
		return err
	}
	c.agent.served()
	go c.mendAll(ctx, client)
	c.boot()
	return c.follow(ctx, events)
}

// presume has names served at once, in an agent that takes over from one that
// died: for the containers that ran when anybody last wrote of them, before their
// shims have been asked one by one.
func (c *cache) presume(ctx context.Context) error {
	if c.containers != nil {
		return nil
	}
	all, err := c.agent.engine().Presume(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(p engine.Container) bool { return !isNamespace(c.agent.Root.Netns(p.ID)) })
	if err := c.agent.names.apply(all); err != nil {
		c.agent.Log.Error("serve names", "error", err)
	}
	return nil
}

// boot has the containers started that a boot starts, once in this agent's life.
func (c *cache) boot() {
	if c.booted {
		return
	}
	c.booted = true
	c.agent.restarts.boot(c.all())
}

// follow applies what happens until the connection ends.
func (c *cache) follow(ctx context.Context, events <-chan engine.Event) error {
	dirty := map[string]bool{}
	var due <-chan time.Time
	var looked time.Time
	mark := func(id string) {
		dirty[id] = true
		if due == nil {
			due = time.After(max(gather, spacing-time.Since(looked)))
		}
	}
	lists := time.NewTicker(relist)
	defer lists.Stop()
	once := time.After(again)
	for {
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e, ok := <-events:
			if !ok {
				return c.streamEnded(ctx)
			}
			if e.Type != engine.EventExecDie && e.Type != engine.EventCreate { // a new one has nothing to look after
				mark(e.ID)
			}
			if e.Type == engine.EventUpdate {
				c.mend(ctx, e.ID)
			}
		case id := <-c.pokes:
			mark(id)
		case <-due:
			due = nil
			err = c.look(ctx, dirty)
			clear(dirty)
			looked = time.Now()
		case <-once:
			_, err = c.list(ctx)
		case <-lists.C:
			_, err = c.list(ctx)
		case done := <-c.syncs:
			due = nil
			clear(dirty)
			err = c.listAndAnswer(ctx, done)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, engine.ErrUnavailable) {
			return err
		}
		if err != nil {
			c.agent.Log.Error("keep up with containers", "error", err)
		}
	}
}

// mendAll puts right what was garbled while no agent was there to see it.
func (c *cache) mendAll(ctx context.Context, client *engine.Client) {
	mended, err := client.MendAll(ctx)
	if err != nil && ctx.Err() == nil {
		c.agent.Log.Error("mend records", "error", err)
	}
	for _, m := range mended {
		c.tellMended(m)
	}
}

// mend puts right what somebody has just garbled.
func (c *cache) mend(ctx context.Context, id string) {
	m, err := c.agent.engine().Mend(ctx, id)
	if err != nil && ctx.Err() == nil {
		c.agent.Log.Error("mend the record", "error", err)
	}
	if len(m.What) > 0 {
		c.tellMended(m)
	}
}

func (c *cache) tellMended(m engine.Mended) {
	c.agent.Log.Warn("a container's record was garbled, and is mended from its spec", "container", m.Name, "what", m.What)
}

// streamEnded is why the events have ended; the reason may be a moment behind.
func (c *cache) streamEnded(ctx context.Context) error {
	_ = pause(ctx, firstReconnect)
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return errors.New("the events of containerd ended")
}

// listAndAnswer lists everything for one that waits for it, and for all others
// that wait by now.
func (c *cache) listAndAnswer(ctx context.Context, done chan error) error {
	waiting := []chan error{done}
	for more := true; more; {
		select {
		case d := <-c.syncs:
			waiting = append(waiting, d)
		default:
			more = false
		}
	}
	applied, err := c.list(ctx)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", engine.ErrUnavailable, context.Cause(ctx))
	}
	for _, d := range waiting {
		d <- errors.Join(applied, err)
	}
	return err
}

// list makes the cache what containerd holds now, and applies it. applied says
// what of that could not be done, err that containerd could not be asked.
func (c *cache) list(ctx context.Context) (applied, err error) {
	all, err := c.agent.engine().Observe(ctx, "")
	if err != nil {
		return nil, err
	}
	c.containers = make(map[string]engine.Container, len(all))
	for _, container := range all {
		c.containers[container.ID] = container
	}
	return c.agent.apply(ctx, all), nil
}

// look brings the cache up to date for some containers, and applies it.
func (c *cache) look(ctx context.Context, ids map[string]bool) error {
	if len(ids) > fewDirty {
		_, err := c.list(ctx)
		return err
	}
	for id := range ids {
		container, err := c.agent.engine().Inspect(ctx, id)
		switch {
		case errors.Is(err, engine.ErrNotFound):
			delete(c.containers, id)
		case err != nil:
			return err
		case container.Name != "": // other clients' containers have no name of ours
			c.containers[id] = container
		}
	}
	_ = c.agent.apply(ctx, c.all()) // it has logged its errors; nobody waits for them
	return nil
}

// all is the containers, sorted by name as engine.Observe has them.
func (c *cache) all() []engine.Container {
	all := make([]engine.Container, 0, len(c.containers))
	for _, container := range c.containers {
		all = append(all, container)
	}
	slices.SortFunc(all, func(a, b engine.Container) int {
		if n := strings.Compare(a.Name, b.Name); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all
}

// poke has a container looked at again soon.
func (c *cache) poke(id string) {
	select {
	case c.pokes <- id:
	default: // a full queue means that a list is near
	}
}
