package netplan

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/compose-first/compose/internal/layout"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Host is the network of this machine, as far as one engine changes it. Its
// methods may be called from several goroutines and several processes.
type Host struct {
	root  layout.Root
	store *Store
	tag   string // marks what is ours: "compose", or "compose-1a2b3c4d" of another root

	wiring sync.Mutex // one container wired at a time

	mu   sync.Mutex     // guards conn: one change of the nftables table at a time
	conn *nftables.Conn // nil until it is needed
}

// NewHost returns the host network of an engine. It changes nothing yet.
func NewHost(root layout.Root) (*Host, error) {
	tag := "compose"
	if t := root.Tag(); t != "" {
		tag += "-" + t
	}
	return &Host{root: root, store: OpenStore(root), tag: tag}, nil
}

// Ensure makes a network's bridge, with its address, and its rules, and mends
// what is missing of them. It is cheap when all is there.
func (h *Host) Ensure(ctx context.Context, n Network) error {
	if n.Driver != DriverBridge {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	there, err := bridgeThere(n)
	if err != nil {
		return fmt.Errorf("network %s: %w", n.Name, err)
	}
	if !there {
		turn, err := takeTurn(ctx, n)
		if err != nil {
			return fmt.Errorf("network %s: %w", n.Name, err)
		}
		defer turn.Release()
	}
	return h.make(n)
}

// make does the work of Ensure. Whoever calls it has the turn, if the bridge is
// to be made.
func (h *Host) make(n Network) error {
	if n.Driver != DriverBridge {
		return nil
	}
	// The rules come first: no packet of the bridge goes without them.
	if err := h.ensureRules(n); err != nil {
		return fmt.Errorf("network %s: %w", n.Name, err)
	}
	if err := h.ensureBridge(n); err != nil {
		return fmt.Errorf("network %s: %w", n.Name, err)
	}
	return nil
}

// Delete removes a network's bridge and rules. That they are gone is no error.
func (h *Host) Delete(ctx context.Context, n Network) error {
	if n.Driver != DriverBridge {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// The bridge, and with it the route, goes last: until then nobody else takes
	// the subnet, whose packets the rules would drop.
	if err := h.deleteRules(n); err != nil {
		return fmt.Errorf("network %s: %w", n.Name, err)
	}
	if err := h.deleteBridge(n); err != nil {
		return fmt.Errorf("network %s: %w", n.Name, err)
	}
	return nil
}

// HostRoutes returns the subnets that this host knows a way to, other than the
// default route, and its resolvers: a new network must overlap none of them.
func HostRoutes() ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC} // every table
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, filter, netlink.RT_FILTER_TABLE)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if p, ok := routePrefix(r); ok {
			prefixes = append(prefixes, p)
		}
	}
	return append(prefixes, resolvers("/etc/resolv.conf")...), nil
}
