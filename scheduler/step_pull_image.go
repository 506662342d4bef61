package scheduler

import (
	"context"
	"errors"
	"fmt"
)

// PullImage fetches an image, once for all services that use it.
type PullImage struct {
	Image    string   // as the file has it
	Platform string   // "": the host's
	Services []string // that use it, sorted
	// OrBuild are the services that can build the image, should the pull fail.
	OrBuild []string
	Because string
}

func (s PullImage) String() string {
	if len(s.OrBuild) > 0 {
		return line("pull or build image", s.Image, s.Because)
	}
	return line("pull image", s.Image, s.Because)
}

// Do pulls the image, and builds it where that fails and it can be built.
func (s PullImage) Do(ctx context.Context, h Host) error {
	pullErr := h.PullImage(ctx, s.Image, s.Platform, s.Services)
	if pullErr == nil || len(s.OrBuild) == 0 || ctx.Err() != nil {
		return pullErr
	}
	if err := h.BuildImages(ctx, s.OrBuild); err != nil {
		return errors.Join(fmt.Errorf("build: %w", err), fmt.Errorf("after pull: %w", pullErr))
	}
	return nil
}

// Progress is an image being pulled.
func (s PullImage) Progress() (id, doing, done string) {
	return imageID(s.Image), "Pulling", "Pulled"
}

func (s PullImage) interruptible() {}
