package netplan

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ensureBridge makes a bridge that is up and has the gateways' addresses. A
// bridge that was there before us is used as it is, and never removed.
func (h *Host) ensureBridge(n Network) error {
	socket, err := openRTNL()
	if err != nil {
		return err
	}
	defer socket.close()
	link, err := netlink.LinkByName(n.Bridge)
	if isMissing(err) {
		if err := checkClash(n); err != nil {
			return err
		}
		if err := h.makeBridge(socket, n); err != nil {
			return err
		}
		link, err = netlink.LinkByName(n.Bridge)
	}
	if err != nil {
		return fmt.Errorf("look at bridge %s: %w", n.Bridge, err)
	}
	if link.Type() != "bridge" {
		return fmt.Errorf("interface %s is there and is no bridge", n.Bridge)
	}
	if err := h.bridgeSettings(n); err != nil {
		return err
	}
	index := link.Attrs().Index
	requests := []*nl.NetlinkRequest{}
	for _, p := range n.Pools {
		requests = append(requests, addAddress(index, netip.PrefixFrom(p.Gateway, p.Subnet.Bits())))
	}
	requests = append(requests, linkUp(index, n.Bridge))
	results, err := socket.do(requests...)
	if err != nil {
		return err
	}
	for _, err := range results {
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("set up bridge %s: %w", n.Bridge, err)
		}
	}
	return nil
}

// makeBridge makes a bridge and marks it as ours: only what it made itself.
func (h *Host) makeBridge(socket *rtnl, n Network) error {
	err := socket.one(h.newBridge(n))
	if errors.Is(err, unix.EEXIST) {
		return nil // another process was quicker
	}
	if err == nil {
		err = socket.one(linkUp(0, n.Bridge, nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(h.alias(n)))))
	}
	if err != nil {
		return fmt.Errorf("make bridge %s: %w", n.Bridge, err)
	}
	return nil
}

// newBridge asks for a bridge with no spanning tree and no delay before it
// forwards. Its hardware address is fixed, so that it does not change with its ports.
func (h *Host) newBridge(n Network) *nl.NetlinkRequest {
	q := request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	q.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	q.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(n.Bridge)))
	if len(n.Pools) > 0 {
		q.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, addressMAC(n.Pools[0].Gateway)))
	}
	if n.MTU > 0 {
		q.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(n.MTU))))
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_FORWARD_DELAY, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_MCAST_SNOOPING, []byte{0}) // nobody sends the queries it would need
	q.AddData(info)
	return q
}

// bridgeSettings sets what the rules rely on: the host forwards; what was sent
// to 127.0.0.1 and led to a container may come back through the bridge; and an
// answer may come by another of a container's networks.
func (h *Host) bridgeSettings(n Network) error {
	settings := [][2]string{
		{"ipv4/ip_forward", "1"},
		{"ipv4/conf/" + n.Bridge + "/route_localnet", "1"},
		{"ipv4/conf/" + n.Bridge + "/rp_filter", "2"},
		{"ipv6/conf/" + n.Bridge + "/accept_ra", "0"},
	}
	if n.EnableIPv6 {
		settings = append(settings, [2]string{"ipv6/conf/" + n.Bridge + "/disable_ipv6", "0"}, [2]string{"ipv6/conf/" + n.Bridge + "/forwarding", "1"})
	} else {
		settings = append(settings, [2]string{"ipv6/conf/" + n.Bridge + "/disable_ipv6", "1"})
	}
	for _, s := range settings {
		if b, err := os.ReadFile("/proc/sys/net/" + s[0]); err == nil && strings.TrimSpace(string(b)) == s[1] {
			continue // writing ip_forward again would reset what others have set an interface to
		}
		err := sysctl(s[0], s[1])
		if errors.Is(err, os.ErrNotExist) && strings.HasPrefix(s[0], "ipv6/") {
			continue // a kernel without IPv6
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteBridge removes the bridge if it is ours.
func (h *Host) deleteBridge(n Network) error {
	link, err := netlink.LinkByName(n.Bridge)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at bridge %s: %w", n.Bridge, err)
	}
	// A name that holds the network's random id is ours even when a crash kept
	// it from being marked.
	if link.Type() != "bridge" || link.Attrs().Alias != h.alias(n) && n.Bridge != generatedName(n.ID) {
		return nil
	}
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete bridge %s: %w", n.Bridge, err)
	}
	return nil
}

// deleteBridges removes all bridges of this engine.
func (h *Host) deleteBridges() error {
	links, err := listLinks()
	if err != nil {
		return err
	}
	for _, l := range links {
		if tag, ok := marked(l.Attrs().Alias); !ok || tag != h.own() || l.Type() != "bridge" {
			continue
		}
		if err := netlink.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("delete bridge %s: %w", l.Attrs().Name, err)
		}
	}
	return nil
}

// alias marks a bridge as ours, and says whose it is in listings of interfaces.
func (h *Host) alias(n Network) string { return h.tag + " " + n.Name }

func isMissing(err error) bool {
	var missing netlink.LinkNotFoundError
	return errors.As(err, &missing)
}

// resolvers returns the addresses that a resolv.conf names. One that cannot be
// read names none.
func resolvers(path string) []netip.Prefix {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var prefixes []netip.Prefix
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(fields[1]); err == nil && !a.IsLoopback() {
			a = a.WithZone("")
			prefixes = append(prefixes, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return prefixes
}
