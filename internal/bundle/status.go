package bundle

import (
	"context"
	"fmt"
	"os"
)

// DaemonStatus is what can be said of one daemon.
type DaemonStatus struct {
	Name    string // "containerd" or "buildkitd"
	Running bool
	PID     int    // 0 when not running, or when not ours
	Version string // "" when it does not answer
	Socket  string // path
}

// Status reports on containerd and buildkitd, in this order, and starts neither.
func (b *Bundle) Status(ctx context.Context) []DaemonStatus {
	if b.Address == "" {
		d := b.containerd()
		return []DaemonStatus{d.status(ctx), b.buildkit(d.socket).status(ctx)}
	}
	existing := DaemonStatus{Name: "containerd", Socket: b.Address}
	if version, err := containerdVersion(ctx, b.Address); err == nil {
		existing.Running, existing.Version = true, version
	}
	return []DaemonStatus{existing, b.buildkit(b.Address).status(ctx)}
}

// Stop ends buildkitd, then containerd where it is ours. Whoever calls it has
// made sure that no container runs.
func (b *Bundle) Stop(ctx context.Context) error {
	if b.Address != "" {
		return b.buildkit(b.Address).stop(ctx)
	}
	containerd := b.containerd()
	if err := b.buildkit(containerd.socket).stop(ctx); err != nil {
		return err
	}
	if containerd.listens() {
		if err := b.endSteps(ctx, containerd.socket); err != nil {
			return err
		}
	}
	if err := containerd.stop(ctx); err != nil {
		return err
	}
	// Shims leave their sockets behind. None of them listens: no container runs.
	if dir := shimSockets(b.Root); dir != "" {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove sockets of shims: %w", err)
		}
	}
	return removeCgroups(b.Root.Cgroup())
}
