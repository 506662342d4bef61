package scheduler

import "context"

// ReplaceNetwork makes a network anew that the file now defines in another
// way. All containers on it are stopped before.
type ReplaceNetwork struct {
	Key, Name string // key in the file, full name
	Because   string
}

func (s ReplaceNetwork) String() string { return line("replace network", s.Name, s.Because) }

// Do replaces the network.
func (s ReplaceNetwork) Do(ctx context.Context, h Host) error { return h.ReplaceNetwork(ctx, s.Key) }

// Progress is a network being recreated.
func (s ReplaceNetwork) Progress() (id, doing, done string) {
	return networkID(s.Name), "Recreate", "Recreated"
}
