// Package agent is the supervisor of an engine: two small processes that the
// first command starts and that outlive it.
//
// The logger (agent/logger) reads the output of all containers, writes it to
// their logs, and keeps the agent alive. The agent gives containers their
// names, published ports, health and restarts, and starts them again after a
// reboot. Both derive all they do from what containerd and the disk hold, so
// either may be killed at any moment: containers do not notice.
//
// Commands need three things of it: Ensure (it runs, in the right version),
// Client.Ready (a container's names are served) and Client.Sync (all that
// containerd holds now is acted upon). Read run.go first, then the rules:
// health_rule.go, restart_rule.go, names.go and ports.go decide, what stands
// beside them acts.
package agent

import (
	"context"
	"log/slog"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/layout"
)

// Config is what an agent needs from its surroundings.
type Config struct {
	Root    layout.Root
	Version string // of the binary, build included, as the commands know it

	Containerd string // socket path of the containerd that it looks after

	// Connect connects to containerd. It is called again and again until it succeeds.
	Connect func(ctx context.Context) (*engine.Client, error)

	// EnsureEngine starts containerd when it is ours and does not run. It is
	// called when containerd has stopped answering. Nil: it is not ours.
	EnsureEngine func(ctx context.Context) error

	// Start starts a container that a reboot ended: its network and files
	// first, then its names (it may ask this agent for Ready), then itself.
	Start func(ctx context.Context, eng *engine.Client, c engine.Container) error

	Log *slog.Logger // nil: slog.Default
}
