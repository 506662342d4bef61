package agent

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/project"
)

// published is what the ports of the engine are to be: each port of each
// service that has a container up (or about to be again), with the addresses
// of the replicas that may get new connections. It is sorted.
func published(containers []engine.Container) []netplan.Published {
	type key struct {
		service string
		port    project.Port
	}
	backends := map[key][]netip.AddrPort{}
	for _, c := range containers {
		if c.Record.NetworkMode != "" || !up(c) && c.State != engine.StateRestarting {
			continue
		}
		for _, port := range c.Record.Ports {
			if port.Published == 0 {
				continue // none was chosen: nothing to publish
			}
			k := key{publisher(c), port}
			backends[k] = append(backends[k], serving(c, port)...)
		}
	}
	all := make([]netplan.Published, 0, len(backends))
	for k, b := range backends {
		slices.SortFunc(b, netip.AddrPort.Compare)
		all = append(all, netplan.Published{Service: k.service, Port: k.port, Backends: b})
	}
	slices.SortFunc(all, comparePublished)
	return all
}

// publisher is who owns a container's ports: its service, but a one-off for itself.
func publisher(c engine.Container) string {
	if c.Record.OneOff {
		return c.Record.Project + "/" + c.Name
	}
	return c.Record.Project + "/" + c.Record.Service
}

// serving is where a container answers on a port, by IPv4 and IPv6; nothing
// while it is not to get new connections.
func serving(c engine.Container, port project.Port) []netip.AddrPort {
	if c.State != engine.StateRunning || c.Stopped || c.Record.Health != nil && c.Health != statusHealthy {
		return nil
	}
	var all []netip.AddrPort
	a := outerAttachment(c.Record.Networks)
	for _, p := range []netip.Prefix{a.Address, a.Address6} {
		if p.IsValid() {
			all = append(all, netip.AddrPortFrom(p.Addr(), port.Target))
		}
	}
	return all
}

// outerAttachment is the network by which a container is reached from outside:
// the one of its default route, so that answers go back the same way.
func outerAttachment(networks []project.Attachment) project.Attachment {
	for _, a := range networks {
		if a.Gateway {
			return a
		}
	}
	if len(networks) > 0 {
		return networks[0]
	}
	return project.Attachment{}
}

func comparePublished(a, b netplan.Published) int {
	return cmp.Or(
		cmp.Compare(a.Service, b.Service),
		cmp.Compare(a.Port.Protocol, b.Port.Protocol),
		cmp.Compare(a.Port.Published, b.Port.Published),
		a.Port.HostIP.Compare(b.Port.HostIP),
		cmp.Compare(a.Port.Target, b.Port.Target),
		cmp.Compare(a.Port.PublishedEnd, b.Port.PublishedEnd),
		cmp.Compare(a.Port.Mode, b.Port.Mode),
	)
}

// samePublished reports whether two sorted lists publish the same.
func samePublished(a, b []netplan.Published) bool {
	return slices.EqualFunc(a, b, func(x, y netplan.Published) bool {
		return comparePublished(x, y) == 0 && slices.Equal(x.Backends, y.Backends)
	})
}
