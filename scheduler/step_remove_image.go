package scheduler

import "context"

// RemoveImage removes an image's name. One that is still in use stays, with a
// warning.
type RemoveImage struct {
	Image   string // as the file has it
	Because string
}

func (s RemoveImage) String() string { return line("remove image", s.Image, s.Because) }

// Do removes the image.
func (s RemoveImage) Do(ctx context.Context, h Host) error {
	return removed(h.RemoveImage(ctx, s.Image))
}

// Progress is an image being removed.
func (s RemoveImage) Progress() (id, doing, done string) {
	return imageID(s.Image), "Removing", "Removed"
}
