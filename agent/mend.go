package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/lock"
	"github.com/compose-first/compose/netplan"
)

// mendInterval is how often the network of running containers is looked at.
const mendInterval = 5 * time.Second

// mender is the part that puts back what somebody took from the network of
// running containers: a bridge, a namespace's binding, rules.
type mender struct{ agent *agent }

func newMender(a *agent) *mender { return &mender{agent: a} }

func (m *mender) run(ctx context.Context) error {
	for {
		if err := pause(ctx, mendInterval); err != nil {
			return err
		}
		containers := m.agent.restarts.snapshot()
		if err := m.mend(ctx, containers); err != nil && ctx.Err() == nil {
			m.agent.Log.Error("mend the network", "error", err)
		}
	}
}

// mend looks at everything, cheaply, and repairs what is broken.
func (m *mender) mend(ctx context.Context, containers []engine.Container) error {
	networks, err := m.agent.networks.List()
	errs := []error{err}
	byName := make(map[string]netplan.Network, len(networks))
	for _, n := range networks {
		byName[n.Name] = n
	}
	rules, err := m.agent.net.RulesThere()
	if err != nil {
		errs = append(errs, err)
		rules = true // as far as anybody knows
	}
	broken := map[string][]engine.Container{} // by project
	for _, c := range containers {
		if up(c) && hasResolver(c) && !m.whole(c, byName, rules) {
			broken[c.Record.Project] = append(broken[c.Record.Project], c)
		}
	}
	for name, all := range broken {
		errs = append(errs, m.repair(ctx, name, all, byName))
	}
	return errors.Join(errs...)
}

// whole reports whether the network of a running container seems to be there;
// rules says whether those of this engine are.
func (m *mender) whole(c engine.Container, networks map[string]netplan.Network, rules bool) bool {
	if !isNamespace(m.agent.Root.Netns(c.ID)) {
		return false
	}
	for _, a := range c.Record.Networks {
		n, ok := networks[a.Network]
		if !ok || n.Bridge == "" {
			continue // nothing to mend it from
		}
		if _, err := os.Stat(filepath.Join("/sys/class/net", n.Bridge)); err != nil || !rules {
			return false
		}
	}
	return true
}

// isNamespace reports whether a namespace is bound at path.
func isNamespace(path string) bool {
	var s unix.Statfs_t
	return unix.Statfs(path, &s) == nil && s.Type == unix.NSFS_MAGIC
}

// repair puts back the network of containers of a project, unless a command is
// changing it: then what is missing may be on its way out.
func (m *mender) repair(ctx context.Context, projectName string, containers []engine.Container, networks map[string]netplan.Network) error {
	turn, err := lock.Try(m.agent.Root.Lock("project-"+projectName), "compose agent")
	if err != nil {
		return nil
	}
	defer turn.Release()
	var errs []error
	for _, c := range containers {
		fresh, err := m.agent.engine().Inspect(ctx, c.ID)
		if err != nil || !up(fresh) {
			continue
		}
		m.agent.Log.Warn("mend network", "container", c.Name)
		if err := m.rewire(ctx, fresh, networks); err != nil {
			errs = append(errs, fmt.Errorf("container %s: %w", c.Name, err))
		}
		m.agent.cache.poke(c.ID)
	}
	return errors.Join(append(errs, m.agent.ports.apply(ctx, m.agent.restarts.snapshot(), true))...)
}

// rewire makes sure of a container's bridges, namespace and wires.
func (m *mender) rewire(ctx context.Context, c engine.Container, networks map[string]netplan.Network) error {
	var wires []netplan.Wire
	for _, a := range c.Record.Networks {
		n, ok := networks[a.Network]
		if !ok {
			return fmt.Errorf("network %s: %w", a.Network, netplan.ErrNotFound)
		}
		if err := m.agent.net.Ensure(ctx, n); err != nil {
			return err
		}
		wires = append(wires, netplan.Wire{Attachment: a, Network: n})
	}
	return m.agent.net.Attach(ctx, m.agent.Root.Netns(c.ID), wires, netplan.AttachOptions{PID: int(c.PID)})
}
