package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/compose-first/compose/agent"
	"github.com/compose-first/compose/build"
	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/host"
	"github.com/compose-first/compose/internal/bundle"
	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/lock"
	"github.com/compose-first/compose/internal/systemd"
	"github.com/compose-first/compose/project"
)

// rooms are the parts of compose put together for one command.
type rooms struct {
	root    layout.Root
	bundle  *bundle.Bundle
	engine  *engine.Client
	agent   *agent.Client
	machine *host.Machine
}

// open finds the engine; it starts nothing and connects to nothing.
func (a *app) open() (*rooms, error) {
	if err := bundle.CheckRoot(); err != nil {
		return nil, err
	}
	root, err := layout.FromEnvironment()
	if err != nil {
		return nil, err
	}
	b, err := bundle.Find(root, a.global.containerd)
	if err != nil {
		return nil, err
	}
	return &rooms{root: root, bundle: b, agent: agent.Find(root)}, nil
}

// lookAhead begins to connect to the engine, if it runs, while the command
// reads its files. find takes the result.
func (a *app) lookAhead(ctx context.Context) {
	a.ahead = sync.OnceValues(func() (*rooms, error) { return a.findNow(ctx) })
	go func() { _, _ = a.ahead() }()
}

// look connects to the engine for a command that changes nothing. The rooms
// returned have no engine when it has never run: there is nothing to look at.
// One that has run and does not now is started, since what it holds is still
// there, and containers may well be running without it.
func (a *app) look(ctx context.Context) (*rooms, error) {
	r, err := a.find(ctx)
	if err != nil || r.engine != nil || !r.bundle.Used() {
		return r, err
	}
	return a.startEngine(ctx)
}

// find connects to the engine when it runs. When it does not, the rooms
// returned have no engine.
func (a *app) find(ctx context.Context) (*rooms, error) {
	if a.ahead != nil {
		return a.ahead()
	}
	return a.findNow(ctx)
}

func (a *app) findNow(ctx context.Context) (*rooms, error) {
	r, err := a.open()
	if err != nil {
		return nil, err
	}
	if !a.answering(r) {
		if a.global.containerd != "" {
			return nil, fmt.Errorf("no containerd answers at %s", r.address())
		}
		return r, nil
	}
	err = a.connect(ctx, r, r.address())
	if err != nil && r.bundle.Address == "" && ctx.Err() == nil {
		return r, nil // it is about to end, or hangs: who needs it starts it, and says so if it cannot
	}
	return r, err
}

// answering reports whether something listens on the engine's socket.
func (a *app) answering(r *rooms) bool {
	conn, err := net.DialTimeout("unix", r.address(), time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// address is the socket of containerd, running or not.
func (r *rooms) address() string {
	if r.bundle.Address != "" {
		return r.bundle.Address
	}
	return r.root.ContainerdSocket()
}

// use starts the engine if need be and connects to it. It is for commands that
// change something but start no container.
func (a *app) use(ctx context.Context) (*rooms, error) {
	r, err := a.find(ctx)
	if err != nil {
		return nil, err
	}
	if err := ownAgent(ctx, r); err != nil {
		return nil, err
	}
	if r.engine == nil {
		if r, err = a.startEngine(ctx); err != nil {
			return nil, err
		}
	}
	r.machine, err = host.New(host.Config{
		Engine: r.engine, Root: r.root, Builder: a.builder(r),
		Ready: func(ctx context.Context, id string) error { return r.agent.Ready(ctx, id) },
	})
	return r, err
}

// startEngine connects to the engine, which it starts.
func (a *app) startEngine(ctx context.Context) (*rooms, error) {
	r, err := a.open()
	if err != nil {
		return nil, err
	}
	address, err := r.bundle.EnsureContainerd(ctx)
	if err != nil {
		return nil, err
	}
	if err := (systemd.Groups{Tag: r.root.Tag()}).Hold(ctx); err != nil {
		a.warn("%v", err)
	}
	return r, a.connect(ctx, r, address)
}

// startUp is use for commands that start containers: these need the agent.
func (a *app) startUp(ctx context.Context) (*rooms, error) {
	r, err := a.use(ctx)
	if err != nil || a.global.dryRun {
		return r, err
	}
	if a.global.containerd != "" { // the agent is to use the same
		if err := os.Setenv("CONTAINERD_ADDRESS", a.global.containerd); err != nil {
			return nil, err
		}
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	if r.agent, err = agent.Ensure(ctx, r.root, binary, identity()); err != nil {
		return nil, fmt.Errorf("start the agent: %w", err)
	}
	return r, nil
}

// ownAgent refuses an agent that looks after another containerd: it is one an
// engine root, and would know nothing of the containers of this one.
func ownAgent(ctx context.Context, r *rooms) error {
	s, err := r.agent.Status(ctx)
	at := s.Containerd
	if err != nil || at == "" || at == r.address() {
		return nil // there is none, or an older one that does not say
	}
	return fmt.Errorf("this engine root is in use with the containerd at %s: name another one in %s to use that at %s",
		at, layout.RootVariable, r.address())
}

// connect connects to containerd.
func (a *app) connect(ctx context.Context, r *rooms, address string) error {
	eng, err := connectEngine(ctx, r, address, func(container, message string) {
		a.warn("container %s: %s", container, message)
	})
	if err != nil {
		return err
	}
	r.engine = eng
	a.atEnd(func() { _ = eng.Close() })
	return nil
}

// connectEngine connects to containerd. warn, when not nil, is told what a
// container is denied that its service asks for.
func connectEngine(ctx context.Context, r *rooms, address string, warn func(container, message string)) (*engine.Client, error) {
	cfg := engine.Config{
		Address: strings.TrimPrefix(address, "unix://"), Root: r.root, Warn: warn,
		DockerConfigDir: os.Getenv("DOCKER_CONFIG"),
	}
	if r.bundle.Dir != "" {
		cfg.RuncPath = filepath.Join(r.bundle.Dir, "runc")
	}
	return engine.Connect(ctx, cfg)
}

// builder starts BuildKit and connects to it, when the first image is built.
// From then on this command is among those that build.
func (a *app) builder(r *rooms) func(context.Context) (*build.Builder, error) {
	return func(ctx context.Context) (*build.Builder, error) {
		building, err := lock.Share(ctx, r.root.Lock(engine.BuildLock))
		if err != nil {
			return nil, err
		}
		a.atEnd(building.Release)
		address, err := r.bundle.EnsureBuildkit(ctx)
		if err != nil {
			return nil, err
		}
		b, err := build.Connect(ctx, address)
		if err != nil {
			return nil, err
		}
		a.atEnd(func() { _ = b.Close() })
		return b, nil
	}
}

// lockProject has this command be the only writer of a project, once the one
// before is done. release may be called more than once.
func (a *app) lockProject(ctx context.Context, r *rooms, name string) (release func(), err error) {
	if a.global.dryRun {
		return func() {}, nil
	}
	l, err := lock.Take(ctx, r.root.Lock("project-"+name), a.commandLine(), func(h lock.Holder) {
		a.info("project %s is being changed by %s: waiting for it to end", name, h)
	})
	if err != nil {
		return nil, err
	}
	held := true
	release = func() {
		if held {
			held = false
			l.Release()
		}
	}
	a.atEnd(release)
	if err := r.machine.Sweep(ctx); err != nil {
		return nil, err
	}
	return release, nil
}

// hostFor is the machine at work for a project, or for the containers alone
// where p is nil. What it pulls and builds is shown.
func (a *app) hostFor(r *rooms, p *project.Project, containers []engine.Container, o host.Options) *host.Host {
	o.Command = a.commandLine()
	o.Warn = func(text string) { a.warn("%s", text) }
	h := r.machine.For(p, containers, o)
	a.atEnd(h.Close)
	return h
}

// sync has the agent act upon what has changed. Without an agent there is
// nothing to bring up to date.
func (a *app) sync(ctx context.Context, r *rooms) error {
	if a.global.dryRun {
		return nil
	}
	if _, err := r.agent.Status(ctx); err != nil {
		return nil
	}
	if err := r.agent.Sync(ctx); err != nil {
		return fmt.Errorf("bring ports and names up to date: %w", err)
	}
	return nil
}
