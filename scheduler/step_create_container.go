package scheduler

import "context"

// CreateContainer makes a container. One that it takes the place of is still
// there, and runs if it did.
type CreateContainer struct {
	Create
	Because string
}

func (s CreateContainer) String() string {
	return line("create", short(s.Service, s.Number, s.Name), s.Because)
}

// Do creates the container.
func (s CreateContainer) Do(ctx context.Context, h Host) error {
	return h.CreateContainer(ctx, s.Create)
}

// Progress is a container being created, or the first part of its being
// recreated: removing the old one is the last.
func (s CreateContainer) Progress() (id, doing, done string) {
	if s.Replaces != "" {
		return containerID(s.Name), "Recreate", ""
	}
	return containerID(s.Name), "Creating", "Created"
}
