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
	created map[string]string           // ID by name, of this run
	ports   map[hostPort]bool           // chosen in this run
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
		created: map[string]string{},
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
	h.mu.Lock()
	defer h.mu.Unlock()
	if id, ok := h.created[r.Name]; ok {
		return id, nil
	}
	return "", fmt.Errorf("container %s: %w", r.Name, scheduler.ErrNotFound)
}

// container is what is known of the container that r names, asked for now.
func (h *Host) container(ctx context.Context, r scheduler.Ref) (engine.Container, error) {
	id, err := h.id(r)
	if err != nil {
		return engine.Container{}, err
	}
	c, err := h.Engine.Inspect(ctx, id)
	return c, edge(err)
}

// ContainerOf returns the ID of the container that this run created under name.
func (h *Host) ContainerOf(name string) (id string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	id, ok = h.created[name]
	return id, ok
}

func (h *Host) warn(format string, args ...any) {
	if h.options.Warn != nil {
		h.options.Warn(fmt.Sprintf(format, args...))
	}
}
