package host

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
	"github.com/compose-first/compose/volumes"
)

// CreateContainer makes a container of a service, ready to be started. What it
// needs of the network is decided here and made at its start.
func (h *Host) CreateContainer(ctx context.Context, c scheduler.Create) (retErr error) {
	image, err := h.imageFor(ctx, c.Service)
	if err != nil {
		return edge(err)
	}
	record, err := h.record(ctx, c, image)
	if err != nil {
		return err
	}
	cfg := engine.CreateConfig{
		ID: engine.NewID(), Name: c.Name,
		Service: h.project.Services[c.Service], Record: record, Image: image,
		Labels: h.labels(c, image), ShimGroup: h.groups.next(),
	}
	if h.options.Adjust != nil {
		h.options.Adjust(&cfg)
	}
	end, err := h.Engine.Begin(cfg.ID)
	if err != nil {
		return err
	}
	defer func() {
		if retErr != nil { // which is the one to tell; what cannot be undone now is left to the next command
			err = h.remove(context.WithoutCancel(ctx), cfg.ID)
		}
		end(err == nil || errors.Is(err, engine.ErrNotFound))
	}()
	if err := h.finish(ctx, c, &cfg); err != nil {
		return err
	}
	if err := h.Engine.Create(ctx, cfg); err != nil {
		return fmt.Errorf("service %q: %w", c.Service, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.created[c.Name] = engine.Container{ID: cfg.ID, Name: c.Name, Record: cfg.Record, State: engine.StateCreated}
	return nil
}

// finish adds what depends on the machine: joined namespaces, addresses,
// ports, mounts and files.
func (h *Host) finish(ctx context.Context, c scheduler.Create, cfg *engine.CreateConfig) error {
	if err := h.join(ctx, c, &cfg.Record); err != nil {
		return fmt.Errorf("service %q: %w", c.Service, err)
	}
	if err := h.address(ctx, c, cfg); err != nil {
		return fmt.Errorf("service %q: %w", c.Service, err)
	}
	if err := h.choosePorts(ctx, c.Replaces, &cfg.Record); err != nil {
		return fmt.Errorf("service %q: %w", c.Service, err)
	}
	cfg.Netns = h.netns(cfg.ID, cfg.Record)
	label, err := h.Engine.FileLabel(ctx, *cfg)
	if err != nil {
		return fmt.Errorf("service %q: %w", c.Service, err)
	}
	cfg.Record.FileLabel = label // who starts it next has this record, not the one that Create writes
	if err := h.mount(ctx, c, cfg, label); err != nil {
		return err
	}
	return h.files(ctx, c, cfg, label)
}

// labels are Docker Compose's and the user's, for one container.
func (h *Host) labels(c scheduler.Create, image engine.Image) map[string]string {
	labels := maps.Clone(h.project.ContainerLabels(c.Service))
	labels[project.LabelImage] = image.Digest
	if c.Number > 0 {
		labels[project.LabelNumber] = strconv.Itoa(c.Number)
		labels[project.LabelOneOff] = "False"
	} else {
		labels[project.LabelOneOff] = "True"
		labels[project.LabelSlug] = slug()
	}
	if c.Replaces != "" {
		labels[project.LabelReplace] = c.Replaces
	}
	return labels
}

// slug tells one-offs apart.
func slug() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never returns an error
	return hex.EncodeToString(b[:])
}

// mount decides and prepares a container's mounts.
func (h *Host) mount(ctx context.Context, c scheduler.Create, cfg *engine.CreateConfig, label string) error {
	wants, err := volumes.Resolve(h.project, c.Service, imageVolumes(cfg.Image), c.Inherit, h.mountsFrom(ctx, c))
	if err != nil {
		return err
	}
	prepared, err := h.volumes.Prepare(ctx, volumes.PrepareConfig{
		ContainerID: cfg.ID, Project: h.project.Name, Mounts: wants, Label: label,
		Rootfs: func(ctx context.Context) (string, func() error, error) { return h.Engine.MountImage(ctx, cfg.Image) },
	})
	if err != nil {
		return err
	}
	cfg.Mounts = append(cfg.Mounts, engineMounts(prepared.Mounts)...)
	cfg.Record.Mounts = prepared.Infos
	cfg.Propagation = prepared.Propagation
	return nil
}

// files keeps a container's secrets and configs and mounts them.
func (h *Host) files(ctx context.Context, c scheduler.Create, cfg *engine.CreateConfig, label string) error {
	if len(cfg.Record.Files) == 0 {
		return nil
	}
	contents, err := h.project.FileContents(c.Service)
	if err != nil {
		return err
	}
	if err := h.volumes.WriteFiles(ctx, cfg.ID, cfg.Record.Files, contents); err != nil {
		return err
	}
	mounts, err := h.volumes.RestoreFiles(ctx, cfg.ID, label, cfg.Record.Files)
	if err != nil {
		return err
	}
	cfg.Mounts = append(cfg.Mounts, engineMounts(mounts)...)
	return nil
}

func engineMounts(mounts []volumes.Mount) []engine.Mount {
	out := make([]engine.Mount, len(mounts))
	for i, m := range mounts {
		out[i] = engine.Mount(m)
	}
	return out
}

// mountsFrom has the mounts of the containers that volumes_from names.
func (h *Host) mountsFrom(ctx context.Context, c scheduler.Create) map[string][]project.MountInfo {
	from := map[string][]project.MountInfo{}
	for _, name := range volumes.From(h.project, c.Service) {
		if owner, err := h.owner(ctx, c, name); err == nil {
			from[name] = owner.Record.Mounts
		} // Resolve names what is missing
	}
	return from
}
