package scheduler

import "context"

// BuildImage builds the image that its services share.
type BuildImage struct {
	Image    string   // as the file has it
	Services []string // sorted; usually one
	Because  string
}

func (s BuildImage) String() string { return line("build image", s.Image, s.Because) }

// Do builds the image.
func (s BuildImage) Do(ctx context.Context, h Host) error { return h.BuildImages(ctx, s.Services) }

// Progress is an image being built.
func (s BuildImage) Progress() (id, doing, done string) {
	return imageID(s.Image), "Building", "Built"
}

func (s BuildImage) interruptible() {}
