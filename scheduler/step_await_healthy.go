package scheduler

import (
	"context"
	"fmt"
)

// AwaitHealthy waits until a container is healthy, for services that depend on
// that.
type AwaitHealthy struct {
	Ref
	For []string // services that wait, sorted
}

func (s AwaitHealthy) String() string {
	return line("wait until healthy:", s.short(), neededBy(s.For))
}

// Do waits.
func (s AwaitHealthy) Do(ctx context.Context, h Host) error {
	if err := h.AwaitHealthy(ctx, s.Ref); err != nil {
		return fmt.Errorf("dependency failed to start: %w", err)
	}
	return nil
}

// Progress is a container being waited for.
func (s AwaitHealthy) Progress() (id, doing, done string) {
	return containerID(s.Name), "Waiting", "Healthy"
}

func (s AwaitHealthy) interruptible() {}
func (s AwaitHealthy) waiting()       {}
