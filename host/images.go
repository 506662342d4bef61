package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/compose-first/compose/build"
	"github.com/compose-first/compose/engine"
)

// wantedImage is what a service says of its image.
type wantedImage struct{ name, platform string }

// imageFor is the image of a service, looked up once in a run: what was checked
// is what containers are made of.
func (h *Host) imageFor(ctx context.Context, service string) (engine.Image, error) {
	wanted := wantedImage{h.project.ImageName(service), h.project.Services[service].Platform}
	h.mu.Lock()
	image, ok := h.images[wanted]
	h.mu.Unlock()
	if ok {
		return image, nil
	}
	image, err := h.image(ctx, h.project, service)
	if err == nil {
		h.mu.Lock()
		h.images[wanted] = image
		h.mu.Unlock()
	}
	return image, err
}

// forgetImages has images looked up again that may be others now.
func (h *Host) forgetImages() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.images)
}

// PullImage fetches an image, and notes when.
func (h *Host) PullImage(ctx context.Context, ref, platform string, _ []string) error {
	defer h.forgetImages()
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
	defer h.forgetImages()
	_, err = builder.Build(ctx, requests, build.Options{Progress: h.options.Building})
	return err
}

// RemoveImage removes an image that no container uses.
func (h *Host) RemoveImage(ctx context.Context, ref string) error {
	defer h.forgetImages()
	return edge(h.Engine.RemoveImage(ctx, ref))
}
