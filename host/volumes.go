package host

import (
	"context"
	"fmt"
	"slices"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
	"github.com/compose-first/compose/volumes"
)

// CreateVolume makes the volume of a key of the file.
func (h *Host) CreateVolume(ctx context.Context, key string) error {
	v, err := h.volume(key)
	if err != nil {
		return err
	}
	if _, err := h.volumes.Create(ctx, v); err != nil {
		return fmt.Errorf("volume %s: %w", v.Name, err)
	}
	return nil
}

func (h *Host) volume(key string) (volumes.Volume, error) {
	v, err := volumes.Define(h.project.Name, key, h.project.Volumes[key])
	if err != nil {
		return volumes.Volume{}, err
	}
	v.ConfigHash = h.project.VolumeHash(key)
	return v, nil
}

// ReplaceVolume removes a volume with its data and makes it as the file says.
func (h *Host) ReplaceVolume(ctx context.Context, key string) error {
	if err := h.volumes.Remove(ctx, h.project.VolumeName(key)); gone(err) != nil {
		return err
	}
	return h.CreateVolume(ctx, key)
}

// RemoveVolume removes a volume that no container mounts, with its data.
func (h *Host) RemoveVolume(ctx context.Context, name string) error {
	all, err := h.Engine.Observe(ctx, "")
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	if slices.ContainsFunc(all, func(c engine.Container) bool { return mounts(c, name) }) {
		return scheduler.ErrInUse
	}
	return edge(h.volumes.Remove(ctx, name))
}

// mounts reports whether a container has a volume; one whose record cannot be
// read may have any.
func mounts(c engine.Container, volume string) bool {
	return c.RecordError != nil || slices.ContainsFunc(c.Record.Mounts, func(m project.MountInfo) bool {
		return m.Type == volumes.TypeVolume && m.Name == volume
	})
}
