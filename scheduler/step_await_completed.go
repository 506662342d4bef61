package scheduler

import "context"

// AwaitCompleted waits until a container has ended with code 0, for services
// that depend on that.
type AwaitCompleted struct {
	Ref
	For []string // services that wait, sorted
}

func (s AwaitCompleted) String() string {
	return line("wait until completed:", s.short(), neededBy(s.For))
}

// Do waits.
func (s AwaitCompleted) Do(ctx context.Context, h Host) error { return h.AwaitCompleted(ctx, s.Ref) }

// Progress is a container being waited for.
func (s AwaitCompleted) Progress() (id, doing, done string) {
	return containerID(s.Name), "Waiting", "Exited"
}

func (s AwaitCompleted) interruptible() {}
func (s AwaitCompleted) waiting()       {}
