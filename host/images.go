package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/compose-first/compose/build"
	"github.com/compose-first/compose/engine"
)

// PullImage fetches an image, and notes when.
func (h *Host) PullImage(ctx context.Context, ref, platform string, _ []string) error {
	_, err := h.Engine.Pull(ctx, ref, engine.PullOptions{
		Platform: platform,
		Progress: h.options.Pulling,
		Labels:   map[string]string{pulledLabel: time.Now().UTC().Format(time.RFC3339Nano)},
	})
	return edge(err)
}

// BuildImages builds the images of services, together.
func (h *Host) BuildImages(ctx context.Context, services []string) error {
	if h.Builder == nil {
		return errors.New("this command does not build images")
	}
	var requests []build.Request
	for _, service := range services {
		r, err := build.FromProject(h.project, service)
		if err != nil {
			return err
		}
		r.NoCache, r.Pull, r.Args = h.options.NoCache, h.options.Pull, h.options.BuildArgs
		requests = append(requests, r)
	}
	builder, err := h.Builder(ctx)
	if err != nil {
		return fmt.Errorf("start the builder: %w", err)
	}
	_, err = builder.Build(ctx, requests, build.Options{Progress: h.options.Building})
	return err
}

// RemoveImage removes an image that no container uses.
func (h *Host) RemoveImage(ctx context.Context, ref string) error {
	return edge(h.Engine.RemoveImage(ctx, ref))
}
