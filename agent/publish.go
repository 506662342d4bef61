package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/netplan"
)

// publishing is the part that makes the host's published ports those that the
// containers ask for.
type publishing struct {
	agent *agent

	mu      sync.Mutex
	sockets *netplan.Ports
	applied []netplan.Published
	valid   bool // applied is what the host has
}

func newPublishing(a *agent) *publishing {
	return &publishing{agent: a, sockets: netplan.NewPorts()}
}

// apply publishes the ports of containers. Unless forced it does nothing when
// they are what they were.
func (p *publishing) apply(ctx context.Context, containers []engine.Container, force bool) error {
	desired := published(containers)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.valid && !force && samePublished(desired, p.applied) {
		return nil
	}
	p.valid = false
	var errs []error
	if err := p.agent.net.Publish(ctx, desired); err != nil {
		errs = append(errs, fmt.Errorf("publish ports: %w", err))
	}
	if err := p.sockets.Sync(ctx, desired); err != nil {
		errs = append(errs, fmt.Errorf("hold ports: %w", err))
	}
	p.applied, p.valid = desired, len(errs) == 0
	return errors.Join(errs...)
}

func (p *publishing) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.sockets.Close()
}
