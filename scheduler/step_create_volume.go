package scheduler

import "context"

// CreateVolume makes a named volume that is not there.
type CreateVolume struct {
	Key, Name string // key in the file, full name
	Because   string
}

func (s CreateVolume) String() string { return line("create volume", s.Name, s.Because) }

// Do creates the volume.
func (s CreateVolume) Do(ctx context.Context, h Host) error { return h.CreateVolume(ctx, s.Key) }

// Progress is a volume being created.
func (s CreateVolume) Progress() (id, doing, done string) {
	return volumeID(s.Name), "Creating", "Created"
}
