package netplan

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Clash is a route of this host that leads where a network of ours is.
type Clash struct {
	Network   string
	Subnet    netip.Prefix
	Route     netip.Prefix
	Interface string // that the route leads to
}

// Wider tells whether the route covers more than the network: then it is the
// network that takes addresses from it, and not the other way round.
func (c Clash) Wider() bool { return c.Route.Bits() < c.Subnet.Bits() }

// Clashes returns the routes that have come since the networks were made, by a
// VPN or another interface, and overlap their subnets.
func Clashes(networks []Network) ([]Clash, error) {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	names, err := interfaceNames()
	if err != nil {
		return nil, err
	}
	var clashes []Clash
	seen := map[Clash]bool{} // a subnet has a route, and its addresses have some more
	for _, r := range routes {
		prefix, ok := routePrefix(r)
		if !ok {
			continue
		}
		for _, n := range networks {
			for _, p := range n.Pools {
				c := Clash{Network: n.Name, Subnet: p.Subnet, Route: prefix, Interface: names[r.LinkIndex]}
				if p.Subnet.Overlaps(prefix) && c.Interface != n.Bridge && !seen[c] {
					seen[c] = true
					clashes = append(clashes, c)
				}
			}
		}
	}
	return clashes, nil
}

// interfaceNames are the interfaces of this host by index.
func interfaceNames() (map[int]string, error) {
	links, err := listLinks()
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	return names, nil
}

// listLinks lists the interfaces of the host, again when they changed meanwhile.
func listLinks() ([]netlink.Link, error) {
	for {
		links, err := netlink.LinkList()
		if errors.Is(err, netlink.ErrDumpInterrupted) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list interfaces: %w", err)
		}
		return links, nil
	}
}
