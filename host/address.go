package host

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/lock"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

// hostPort is a port of this machine.
type hostPort struct {
	protocol string
	port     uint16
}

// neighbours is who has which address, in all projects.
type neighbours struct {
	holder map[string]map[netip.Addr]string // container ID by network and address
}

func (n *neighbours) take(network string, a netip.Addr, id string) {
	if !a.IsValid() {
		return
	}
	if n.holder[network] == nil {
		n.holder[network] = map[netip.Addr]string{}
	}
	n.holder[network][a] = id
}

// address gives a container its addresses. They are chosen under the locks of the networks, so
// that projects which share one never choose the same.
func (h *Host) address(ctx context.Context, c scheduler.Create, cfg *engine.CreateConfig) error {
	r := &cfg.Record
	if len(r.Networks) == 0 {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.lookAround(ctx); err != nil {
		return err
	}
	for i := range r.Networks {
		n, err := h.networks.Get(r.Networks[i].Network)
		if err != nil {
			return err
		}
		if err := h.attach(n, c, &r.Networks[i]); err != nil {
			return err
		}
		if r.Networks[i].Gateway && len(n.Pools) > 0 {
			cfg.HostGateway = n.Pools[0].Gateway.String()
		}
	}
	return nil
}

// lookAround locks the project's networks and reads who is on them, once a run.
func (h *Host) lookAround(ctx context.Context) error {
	if h.others != nil {
		return nil
	}
	var names []string
	for key := range h.project.Networks {
		names = append(names, h.project.NetworkName(key))
	}
	slices.Sort(names) // one order for all, so that two commands never wait for each other
	for _, name := range names {
		l, err := lock.Take(ctx, h.Root.Lock("network-"+name), h.options.Command, func(holder lock.Holder) {
			h.warn("waiting for %s, which uses network %s", holder, name)
		})
		if err != nil {
			return err
		}
		h.locks = append(h.locks, l)
	}
	all, err := h.Engine.Observe(ctx, "")
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	h.others = newNeighbours(all)
	return nil
}

func newNeighbours(all []engine.Container) *neighbours {
	n := &neighbours{holder: map[string]map[netip.Addr]string{}}
	for _, c := range all {
		for _, a := range c.Record.Networks {
			n.take(a.Network, a.Address.Addr(), c.ID)
			n.take(a.Network, a.Address6.Addr(), c.ID)
		}
	}
	return n
}

// attach gives one interface its addresses: those of the file, or free ones.
func (h *Host) attach(n netplan.Network, c scheduler.Create, a *project.Attachment) error {
	taken := h.others.holder[n.Name]
	busy := func(addr netip.Addr) bool { _, ok := taken[addr]; return ok }
	for _, family := range []struct {
		enabled bool
		address *netip.Prefix
		free    func(func(netip.Addr) bool) (netip.Prefix, error)
	}{
		{n.EnableIPv4, &a.Address, n.FreeAddress},
		{n.EnableIPv6, &a.Address6, n.FreeAddress6},
	} {
		if !family.enabled {
			continue
		}
		if static := family.address.Addr(); static.IsValid() {
			address, err := n.Static(static)
			if err != nil {
				return err
			}
			if holder := taken[static]; holder != "" && holder != c.Replaces {
				return fmt.Errorf("network %s: address %s is in use by container %.12s", n.Name, static, holder)
			}
			*family.address = address
		} else {
			free, err := family.free(busy)
			if err != nil {
				return err
			}
			*family.address = free
		}
		h.others.take(n.Name, family.address.Addr(), c.Name)
		taken = h.others.holder[n.Name]
	}
	return nil
}

// choosePorts gives each port that leaves the choice a free one of this
// machine. It is the container's as long as that exists; of a range, the
// container that replaces it gets the same, which may be the only one left.
func (h *Host) choosePorts(ctx context.Context, replaces string, r *project.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range r.Ports {
		p := &r.Ports[i]
		if p.Published != 0 && p.PublishedEnd == 0 {
			continue
		}
		port := h.inheritedPort(replaces, *p)
		if port == 0 {
			var err error
			if port, err = h.freePort(ctx, *p); err != nil {
				return err
			}
		}
		p.Published, p.PublishedEnd = port, 0
		h.ports[hostPort{p.Protocol, port}] = true
	}
	return nil
}

// inheritedPort is the port of p's range that the container which is to be
// replaced has, and 0 when there is none, or somebody else may have it by now.
func (h *Host) inheritedPort(replaces string, p project.Port) uint16 {
	old, ok := h.known[replaces]
	if !ok || old.PID == 0 || p.Published == 0 {
		return 0
	}
	for _, o := range old.Record.Ports {
		same := o.Target == p.Target && o.Protocol == p.Protocol && o.HostIP == p.HostIP && o.Mode == p.Mode
		if same && o.Published >= p.Published && o.Published <= p.PublishedEnd && !h.ports[hostPort{p.Protocol, o.Published}] {
			return o.Published
		}
	}
	return 0
}

func (h *Host) freePort(ctx context.Context, p project.Port) (uint16, error) {
	if p.Published == 0 {
		for ctx.Err() == nil {
			port, err := h.net.FreePort(p.Protocol, p.HostIP, 0, 0)
			if err != nil || !h.ports[hostPort{p.Protocol, port}] {
				return port, err
			}
		}
		return 0, ctx.Err()
	}
	for port := int(p.Published); port <= int(p.PublishedEnd); port++ {
		if h.ports[hostPort{p.Protocol, uint16(port)}] {
			continue
		}
		if free, err := h.net.FreePort(p.Protocol, p.HostIP, uint16(port), uint16(port)); err == nil {
			return free, nil
		}
	}
	return 0, fmt.Errorf("no port of %d-%d/%s is free", p.Published, p.PublishedEnd, p.Protocol)
}
