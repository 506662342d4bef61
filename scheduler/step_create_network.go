package scheduler

import "context"

// CreateNetwork makes a network that is not there.
type CreateNetwork struct {
	Key, Name string // key in the file, full name
	Because   string
}

func (s CreateNetwork) String() string { return line("create network", s.Name, s.Because) }

// Do creates the network.
func (s CreateNetwork) Do(ctx context.Context, h Host) error { return h.CreateNetwork(ctx, s.Key) }

// Progress is a network being created.
func (s CreateNetwork) Progress() (id, doing, done string) {
	return networkID(s.Name), "Creating", "Created"
}
