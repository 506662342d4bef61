package host

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

// record is the file's word on a container, completed by its image's.
func (h *Host) record(_ context.Context, c scheduler.Create, image engine.Image) (project.Record, error) {
	r, err := h.project.Record(c.Service, c.Number)
	if err != nil {
		return project.Record{}, err
	}
	service := h.project.Services[c.Service]
	r.Command = commandLine(service, image.Config)
	r.Image = h.project.ImageName(c.Service)
	r.Expose = mergeExpose(r.Expose, image.Config)
	if r.StopSignal == "" {
		r.StopSignal = image.Config.Config.StopSignal
	}
	r.Health = withShell(h.project.Health(c.Service, imageHealth(image.Config.Healthcheck)), image.Config.Shell)
	return r, nil
}

// withShell has a check that is a line of shell run by the image's own shell,
// where it names one (SHELL in its Dockerfile).
func withShell(h *project.Health, shell []string) *project.Health {
	if h == nil || len(shell) == 0 || len(h.Test) != 2 || h.Test[0] != "CMD-SHELL" {
		return h
	}
	own := *h
	own.Test = slices.Concat([]string{"CMD"}, shell, h.Test[1:])
	return &own
}

// imageHealth is an image's check as a Record has it; nil without one.
func imageHealth(h *engine.ImageHealth) *project.Health {
	if h == nil {
		return nil
	}
	return &project.Health{
		Test: h.Test, Interval: h.Interval, Timeout: h.Timeout, Retries: h.Retries,
		StartPeriod: h.StartPeriod, StartInterval: h.StartInterval,
	}
}

// commandLine is what process 1 is started with: an entrypoint of the file
// drops the image's command.
func commandLine(s types.ServiceConfig, image engine.ImageConfig) string {
	entrypoint, command := []string(s.Entrypoint), []string(s.Command)
	if s.Entrypoint == nil {
		entrypoint = image.Config.Entrypoint
		if s.Command == nil {
			command = image.Config.Cmd
		}
	}
	return strings.Join(append(slices.Clone(entrypoint), command...), " ")
}

func mergeExpose(file []string, image engine.ImageConfig) []string {
	all := slices.Collect(maps.Keys(image.Config.ExposedPorts))
	for i, port := range all {
		if !strings.Contains(port, "/") {
			all[i] = port + "/tcp"
		}
	}
	all = append(all, file...)
	slices.Sort(all)
	return slices.Compact(all)
}

func imageVolumes(image engine.Image) []string {
	return slices.Sorted(maps.Keys(image.Config.Config.Volumes))
}

// join replaces "service:x" and "container:name" of a record's modes by the
// container that is meant.
func (h *Host) join(ctx context.Context, c scheduler.Create, r *project.Record) error {
	for _, mode := range []*string{&r.NetworkMode, &r.PIDMode, &r.IPCMode} {
		name, isContainer := strings.CutPrefix(*mode, containerMode)
		service, isService := strings.CutPrefix(*mode, types.ServicePrefix)
		switch {
		case isContainer:
			name = containerMode + name
		case isService:
			name = service
		default:
			continue
		}
		owner, err := h.owner(ctx, c, name)
		if err != nil {
			return fmt.Errorf("%s: %w", *mode, err)
		}
		*mode = containerMode + owner.ID
	}
	return nil
}

// owner is the container that "container:NAME-or-ID" means, or that of a
// service whose namespaces and volumes c uses: the plan's word, and for
// one-offs, whose dependencies another plan started, the service's first.
func (h *Host) owner(ctx context.Context, c scheduler.Create, name string) (engine.Container, error) {
	if id, ok := strings.CutPrefix(name, containerMode); ok {
		return h.anyNamed(ctx, id)
	}
	if ref, ok := c.Owners[name]; ok {
		return h.container(ctx, ref)
	}
	return h.first(ctx, name)
}

// first is the lowest-numbered container of a service; one of this run wins
// over the one that it replaces.
func (h *Host) first(ctx context.Context, service string) (engine.Container, error) {
	lowest := engine.Container{}
	for _, c := range h.known {
		if c.Record.Service == service && c.Record.Number > 0 && (lowest.ID == "" || c.Record.Number < lowest.Record.Number) {
			lowest = c
		}
	}
	name := lowest.Name
	if name == "" {
		name = h.project.ContainerName(service, 1)
	}
	if id, ok := h.ContainerOf(name); ok {
		c, err := h.Engine.Inspect(ctx, id)
		return c, edge(err)
	}
	if lowest.ID == "" {
		return engine.Container{}, fmt.Errorf("service %q has no container: %w", service, scheduler.ErrNotFound)
	}
	return lowest, nil
}

// anyNamed finds a container of any project by name or id.
func (h *Host) anyNamed(ctx context.Context, name string) (engine.Container, error) {
	all, err := h.Engine.Observe(ctx, "")
	if err != nil {
		return engine.Container{}, err
	}
	for _, c := range all {
		if c.Name == name || c.ID == name || (len(name) >= 12 && strings.HasPrefix(c.ID, name)) {
			return c, nil
		}
	}
	return engine.Container{}, fmt.Errorf("no container %q: %w", name, scheduler.ErrNotFound)
}

// netns is the path of a container's network namespace; "" is the host's.
func (h *Host) netns(id string, r project.Record) string {
	if other, ok := strings.CutPrefix(r.NetworkMode, containerMode); ok {
		if c, known := h.known[other]; known && c.Record.NetworkMode == "host" {
			return ""
		}
		return h.Root.Netns(other)
	}
	if r.NetworkMode == "host" {
		return ""
	}
	return h.Root.Netns(id)
}
