package scheduler

import "context"

// AwaitReady waits until a container runs, and is healthy where it has a
// check, for a user who asked to wait.
type AwaitReady struct {
	Ref
	Because string
}

func (s AwaitReady) String() string { return line("wait until ready:", s.short(), s.Because) }

// Do waits.
func (s AwaitReady) Do(ctx context.Context, h Host) error { return h.AwaitReady(ctx, s.Ref) }

// Progress is a container being waited for.
func (s AwaitReady) Progress() (id, doing, done string) {
	return containerID(s.Name), "Waiting", "Healthy"
}

func (s AwaitReady) interruptible() {}
func (s AwaitReady) waiting()       {}
