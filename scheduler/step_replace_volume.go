package scheduler

import "context"

// ReplaceVolume removes a volume with its data and makes it as the file now
// defines it. The user has agreed, and all containers that mount it are
// stopped before.
type ReplaceVolume struct {
	Key, Name string // key in the file, full name
	Because   string
}

func (s ReplaceVolume) String() string { return line("replace volume", s.Name, s.Because) }

// Do replaces the volume.
func (s ReplaceVolume) Do(ctx context.Context, h Host) error { return h.ReplaceVolume(ctx, s.Key) }

// Progress is a volume being recreated.
func (s ReplaceVolume) Progress() (id, doing, done string) {
	return volumeID(s.Name), "Recreate", "Recreated"
}
