package scheduler

import "context"

// RemoveNetwork removes a network. One that is still in use stays, with a
// warning.
type RemoveNetwork struct {
	Name    string // full name
	Because string
}

func (s RemoveNetwork) String() string { return line("remove network", s.Name, s.Because) }

// Do removes the network.
func (s RemoveNetwork) Do(ctx context.Context, h Host) error {
	return removed(h.RemoveNetwork(ctx, s.Name))
}

// Progress is a network being removed.
func (s RemoveNetwork) Progress() (id, doing, done string) {
	return networkID(s.Name), "Removing", "Removed"
}
