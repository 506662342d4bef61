package host

import (
	"context"
	"fmt"
	"sync"

	"github.com/compose-first/compose/build"
	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/lock"
	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

// Options are what a command adds to the file.
type Options struct {
	Command string // shown to those who wait for a lock
	NoCache bool   // build without BuildKit's cache
	Pull    bool   // build with base images asked for anew
	// BuildArgs win over those of the file.
	BuildArgs map[string]string
	// Adjust, when not nil, changes the record and labels of a container to
	// be created; run uses it for its one-offs.
	Adjust func(*engine.CreateConfig)

	Pulling  func(engine.PullProgress)
	Building func(build.Event)
	Warn     func(string)
}

// Host is a Machine at work for one project, for the length of one command.
// It implements scheduler.Host. Close gives back what it holds.
type Host struct {
	*Machine
	project *project.Project // nil where only the project's name is known
	options Options

	mu      sync.Mutex
	known   map[string]engine.Container // by ID, as observed before the run
	created map[string]engine.Container // by name, of this run
	stopped map[string]bool             // by ID, those that this run stopped
	images  map[wantedImage]engine.Image
	ports   map[hostPort]bool // chosen in this run
	groups  *shimGroups
	others  *neighbours // of all projects; nil until an address is needed
	locks   []*lock.Lock
}

var _ scheduler.Host = (*Host)(nil)

// For returns a host for p, nil where only the containers are known, which are
// those that Live returned.
func (m *Machine) For(p *project.Project, containers []engine.Container, o Options) *Host {
	h := &Host{
		Machine: m, project: p, options: o,
		known:   map[string]engine.Container{},
		created: map[string]engine.Container{},
		stopped: map[string]bool{},
		images:  map[wantedImage]engine.Image{},
		ports:   map[hostPort]bool{},
		groups:  &shimGroups{},
	}
	for _, c := range containers {
		h.known[c.ID] = c
	}
	return h
}

// Close gives back the locks that the host took.
func (h *Host) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.locks {
		l.Release()
	}
	h.locks = nil
}

// id is the ID of the container that r names.
func (h *Host) id(r scheduler.Ref) (string, error) {
	if r.ID != "" {
		return r.ID, nil
	}
	if c, ok := h.madeAs(r.Name); ok {
		return c.ID, nil
	}
	return "", fmt.Errorf("container %s: %w", r.Name, scheduler.ErrNotFound)
}

// container is the container that r names, asked for now.
func (h *Host) container(ctx context.Context, r scheduler.Ref) (engine.Container, error) {
	id, err := h.id(r)
	if err != nil {
		return engine.Container{}, err
	}
	c, err := h.Engine.Inspect(ctx, id)
	return c, edge(err)
}

// recorded is container for those who only want what was fixed at its creation:
// its names and its record. What has become of it since may be out of date.
func (h *Host) recorded(ctx context.Context, r scheduler.Ref) (engine.Container, error) {
	id, err := h.id(r)
	if err != nil {
		return engine.Container{}, err
	}
	if c, ok := h.known[id]; ok && c.RecordError == nil {
		return c, nil
	}
	return h.container(ctx, r)
}

// madeAs is the container that this run created under name: it has not run
// before.
func (h *Host) madeAs(name string) (engine.Container, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.created[name]
	return c, ok
}

// ContainerOf returns the ID of the container that this run created under name.
func (h *Host) ContainerOf(name string) (id string, ok bool) {
	c, ok := h.madeAs(name)
	return c.ID, ok
}

func (h *Host) warn(format string, args ...any) {
	if h.options.Warn != nil {
		h.options.Warn(fmt.Sprintf(format, args...))
	}
}
