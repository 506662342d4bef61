package scheduler

import "context"

// StartContainer starts a container that exists.
type StartContainer struct {
	Ref
	Again   bool // the second half of a restart
	Because string
}

func (s StartContainer) String() string { return line("start", s.short(), s.Because) }

// Do starts the container.
func (s StartContainer) Do(ctx context.Context, h Host) error { return h.StartContainer(ctx, s.Ref) }

// Progress is a container being started, or the last part of its being
// restarted.
func (s StartContainer) Progress() (id, doing, done string) {
	if s.Again {
		return containerID(s.Name), "", "Started"
	}
	return containerID(s.Name), "Starting", "Started"
}
