package scheduler

import "context"

// RemoveVolume removes a named volume with its data. One that is still in use
// stays, with a warning.
type RemoveVolume struct {
	Name    string // full name
	Because string
}

func (s RemoveVolume) String() string { return line("remove volume", s.Name, s.Because) }

// Do removes the volume.
func (s RemoveVolume) Do(ctx context.Context, h Host) error {
	return removed(h.RemoveVolume(ctx, s.Name))
}

// Progress is a volume being removed.
func (s RemoveVolume) Progress() (id, doing, done string) {
	return volumeID(s.Name), "Removing", "Removed"
}
