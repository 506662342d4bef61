package netplan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"

	"github.com/compose-first/compose/project"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// hostEnd names the end of a veth pair that stays on the host: it follows from
// the container's namespace path and the place of the interface, so that it is
// found again without a record. 14 hex digits at most, as an interface name allows 15 bytes.
func hostEnd(netnsPath string, place int) string {
	sum := sha256.Sum256([]byte(netnsPath))
	return fmt.Sprintf("cv%s%02x", hex.EncodeToString(sum[:])[:11], place)
}

// veth asks for a pair at once: the container's end is born in its namespace
// under its final name, the host's end is up and in its bridge.
func veth(host string, bridge int, netns int, w Wire) (*nl.NetlinkRequest, error) {
	mac, err := hardwareAddress(w.Attachment)
	if err != nil {
		return nil, err
	}
	q := enslave(host, bridge)
	q.Flags |= unix.NLM_F_CREATE | unix.NLM_F_EXCL
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(w.Attachment.Interface))
	peer.AddRtAttr(unix.IFLA_ADDRESS, mac)
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(netns)))
	if mtu := w.Network.MTU; mtu > 0 {
		q.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
		peer.AddRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu)))
	}
	q.AddData(info)
	return q, nil
}

// enslave puts the host's end into its bridge, where it may be already.
func enslave(host string, bridge int) *nl.NetlinkRequest {
	return linkUp(0, host, nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(bridge))))
}

// bridgePort sets how the host's end behaves in the bridge that it is in: a container may reach itself through the bridge,
// and where containers must not talk among themselves, it reaches the host only.
func bridgePort(host string, n Network) *nl.NetlinkRequest {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_SLAVE_KIND, nl.NonZeroTerminated("bridge"))
	port := info.AddRtAttr(nl.IFLA_INFO_SLAVE_DATA, nil)
	port.AddRtAttr(nl.IFLA_BRPORT_MODE, []byte{1}) // hairpin
	if !n.option(optionICC, true) {
		port.AddRtAttr(nl.IFLA_BRPORT_ISOLATED, []byte{1})
	}
	// No address of its own for the port: it is the bridge that speaks.
	family := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	family.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{addrGenNone})
	return linkUp(0, host, info, family)
}

// hardwareAddress is the attachment's own, or follows from its IP address: then
// what neighbours remember of that address stays true when another container gets it.
func hardwareAddress(a project.Attachment) (net.HardwareAddr, error) {
	if a.MAC != "" {
		hw, err := net.ParseMAC(a.MAC)
		if err != nil || len(hw) != 6 || hw[0]&1 != 0 {
			return nil, fmt.Errorf("mac address %q is not one of an interface", a.MAC)
		}
		return hw, nil
	}
	if a.Address.IsValid() {
		return addressMAC(a.Address.Addr()), nil
	}
	return addressMAC(a.Address6.Addr()), nil
}

// addressMAC makes a locally administered hardware address from the last four
// bytes of an IP address.
func addressMAC(a netip.Addr) net.HardwareAddr {
	b := a.AsSlice()
	if len(b) < 4 {
		return nil
	}
	return append(net.HardwareAddr{0x02, 0xcb}, b[len(b)-4:]...)
}

// addrGenNone stops an interface from giving itself a link-local address.
// Source: linux/if_link.h, IN6_ADDR_GEN_MODE_NONE.
const addrGenNone = 1
