package netplan

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/lock"
)

// Several engines may live on one machine, and what they have in common is its
// routes. A subnet is chosen by looking at them and taken by giving a bridge
// its address, so nobody else may look in between: the turn is the machine's,
// not the engine's.
func takeTurn(ctx context.Context, n Network) (*lock.Lock, error) {
	return lock.Take(ctx, layout.SubnetLock, "make network "+n.Name, nil)
}

// Create gives a network its record, as Store.Create does, and makes its bridge
// and rules. The record comes first, so that what is made of it in the kernel
// can always be found again.
func (h *Host) Create(ctx context.Context, n Network) (Network, error) {
	turn, err := takeTurn(ctx, n)
	if err != nil {
		return Network{}, fmt.Errorf("network %s: %w", n.Name, err)
	}
	defer turn.Release()
	var avoid []netip.Prefix
	if n.Driver == DriverBridge {
		if avoid, err = h.guarded(); err != nil {
			return Network{}, fmt.Errorf("network %s: %w", n.Name, err)
		}
	}
	if n, err = h.store.Create(ctx, n, avoid...); err != nil {
		return Network{}, err
	}
	return n, h.make(n)
}

// bridgeThere reports whether an interface of the bridge's name is there.
func bridgeThere(n Network) (bool, error) {
	_, err := netlink.LinkByName(n.Bridge)
	if isMissing(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at bridge %s: %w", n.Bridge, err)
	}
	return true, nil
}

// checkClash returns an error when a subnet of a network whose bridge is to be
// made is that of an interface: while the bridge was gone, over a reboot or a
// stop of the engine, somebody else may have taken it.
func checkClash(n Network) error {
	who, err := clash(n)
	if err == nil && who != "" {
		err = fmt.Errorf("%s meanwhile: `compose up` chooses another", who)
	}
	return err
}

// Displaced reports whether a network has no bridge, and cannot have one with
// its subnets: somebody else has taken one.
func (h *Host) Displaced(n Network) (bool, error) {
	if n.Driver != DriverBridge {
		return false, nil
	}
	there, err := bridgeThere(n)
	if err != nil || there {
		return false, err
	}
	who, err := clash(n)
	return who != "", err
}

// clash says which subnet of a network is that of an interface, or "".
func clash(n Network) (string, error) {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Scope: unix.RT_SCOPE_LINK}, netlink.RT_FILTER_SCOPE)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return "", fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		dst, ok := routePrefix(r)
		if !ok {
			continue
		}
		for _, p := range n.Pools {
			if p.Subnet.Overlaps(dst) {
				return fmt.Sprintf("subnet %s is taken by interface %s (%s)", p.Subnet, interfaceName(r.LinkIndex), dst), nil
			}
		}
	}
	return "", nil
}

func interfaceName(index int) string {
	link, err := netlink.LinkByIndex(index)
	if err != nil {
		return fmt.Sprint(index)
	}
	return link.Attrs().Name
}

// routePrefix is where a route leads, unless that is everywhere or nowhere.
func routePrefix(r netlink.Route) (netip.Prefix, bool) {
	if r.Dst == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(r.Dst.IP)
	bits, _ := r.Dst.Mask.Size()
	if a = a.Unmap(); !ok || bits == 0 || a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, bits).Masked(), true
}
