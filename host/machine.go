// Package host is the machine as the scheduler and the agent see it: it turns
// "start web-2" into a network namespace, wires, files, mounts and a task.
// engine, netplan, volumes and build know nothing of each other; here what one
// needs from another is handed on as a plain value.
//
// A Machine is one engine with its networks and volumes. A Host is a Machine
// at work for one project: it implements scheduler.Host. Read machine.go, then
// create.go and start.go (how a container comes to life).
package host

import (
	"context"
	"fmt"

	"github.com/compose-first/compose/build"
	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/volumes"
)

// Config says what a Machine is made of.
type Config struct {
	Engine *engine.Client
	Root   layout.Root

	// Ready returns once names are served in a container's network namespace;
	// it is called before the container starts. Nil: nothing is waited for.
	Ready func(ctx context.Context, containerID string) error

	// Builder connects to BuildKit, started if need be. It is called when the
	// first image is built. Nil: nothing can be built.
	Builder func(ctx context.Context) (*build.Builder, error)
}

// Machine is an engine with its networks and volumes. It is safe for
// concurrent use.
type Machine struct {
	Config
	networks *netplan.Store
	net      *netplan.Host
	volumes  *volumes.Store
}

// New returns the machine of cfg. Nothing is changed before it is asked for.
func New(cfg Config) (*Machine, error) {
	net, err := netplan.NewHost(cfg.Root)
	if err != nil {
		return nil, fmt.Errorf("open the host's network: %w", err)
	}
	return &Machine{
		Config:   cfg,
		networks: netplan.OpenStore(cfg.Root),
		net:      net,
		volumes:  volumes.OpenStore(cfg.Root),
	}, nil
}
