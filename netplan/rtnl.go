package netplan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// rtnl is a route netlink socket of one network namespace: the one in which it
// was opened, whatever namespace its user is in later. Several requests go to
// the kernel in one message, which is what makes attaching quick.
type rtnl struct {
	fd  int
	buf []byte
}

// replyBytes is enough for the acknowledgements of one batch: each is 36 bytes
// and, of an error, a short text.
const replyBytes = 8 << 10

func openRTNL() (*rtnl, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	// Without the request's bytes in each acknowledgement, and with the reason of a refusal.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind netlink socket: %w", err)
	}
	return &rtnl{fd: fd, buf: make([]byte, replyBytes)}, nil
}

func (r *rtnl) close() { unix.Close(r.fd) }

// do sends requests in one go. The kernel does them in order, all of them even
// when one is refused; what each came to is in the result.
func (r *rtnl) do(requests ...*nl.NetlinkRequest) ([]error, error) {
	results := make([]error, len(requests))
	index := make(map[uint32]int, len(requests))
	var batch []byte
	for i, q := range requests {
		q.Flags |= unix.NLM_F_ACK
		index[q.Seq] = i
		batch = append(batch, q.Serialize()...)
		for len(batch)%unix.NLMSG_ALIGNTO != 0 {
			batch = append(batch, 0)
		}
	}
	if err := unix.Sendto(r.fd, batch, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("send to netlink: %w", err)
	}
	for left := len(requests); left > 0; {
		n, _, err := unix.Recvfrom(r.fd, r.buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("receive from netlink: %w", err)
		}
		for b := r.buf[:n]; len(b) >= unix.NLMSG_HDRLEN+4; {
			size := int(binary.NativeEndian.Uint32(b))
			if size < unix.NLMSG_HDRLEN+4 || size > len(b) {
				break
			}
			i, ours := index[binary.NativeEndian.Uint32(b[8:])]
			if ours && binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR {
				results[i] = refusal(b[:size])
				left--
			}
			b = b[min((size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), len(b)):]
		}
	}
	return results, nil
}

// one sends a single request.
func (r *rtnl) one(q *nl.NetlinkRequest) error {
	results, err := r.do(q)
	if err != nil {
		return err
	}
	return results[0]
}

// refusal turns an acknowledgement into an error, with the kernel's words where it has some.
func refusal(b []byte) error {
	code := int32(binary.NativeEndian.Uint32(b[unix.NLMSG_HDRLEN:]))
	if code == 0 {
		return nil
	}
	err := unix.Errno(-code)
	const words = unix.NLMSG_HDRLEN + 4 + unix.NLMSG_HDRLEN // after the code and the header of the request
	if len(b) <= words {
		return err
	}
	attrs, parseErr := nl.ParseRouteAttr(b[words:])
	if parseErr != nil {
		return err
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.NLMSGERR_ATTR_MSG && len(a.Value) > 1 {
			return fmt.Errorf("%w (%s)", err, a.Value[:len(a.Value)-1])
		}
	}
	return err
}

// linkIndex returns the index of an interface in the socket's namespace, without
// waiting for the lock that all changes of interfaces share. 0: there is none.
func (r *rtnl) linkIndex(name string) (int, error) {
	q, err := unix.NewIfreq(name)
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	err = unix.IoctlIfreq(r.fd, unix.SIOCGIFINDEX, q)
	if errors.Is(err, unix.ENODEV) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("interface %s: %w", name, err)
	}
	return int(q.Uint32()), nil
}

func request(kind, flags int) *nl.NetlinkRequest { return nl.NewNetlinkRequest(kind, flags) }

// linkUp sets an interface up; index 0 names it by name.
func linkUp(index int, name string, attrs ...*nl.RtAttr) *nl.NetlinkRequest {
	q := request(unix.RTM_NEWLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	msg.Flags, msg.Change = unix.IFF_UP, unix.IFF_UP
	q.AddData(msg)
	if index == 0 {
		q.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	}
	for _, a := range attrs {
		q.AddData(a)
	}
	return q
}

func deleteLink(name string) *nl.NetlinkRequest {
	q := request(unix.RTM_DELLINK, 0)
	q.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	q.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	return q
}

// addAddress gives an interface an address, which it may have already.
func addAddress(index int, p netip.Prefix) *nl.NetlinkRequest {
	q := request(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	family := unix.AF_INET
	if p.Addr().Is6() {
		family = unix.AF_INET6
	}
	msg := nl.NewIfAddrmsg(family)
	msg.Index, msg.Prefixlen = uint32(index), uint8(p.Bits())
	local := p.Addr().AsSlice()
	if p.Addr().Is6() {
		msg.Flags = unix.IFA_F_NODAD // the address is ours alone: usable at once
	}
	q.AddData(msg)
	q.AddData(nl.NewRtAttr(unix.IFA_LOCAL, local))
	q.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, local))
	if p.Addr().Is4() {
		q.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, last(p).AsSlice()))
	}
	return q
}

// defaultRoute leads all else to gateway, through the interface of that index.
func defaultRoute(index int, gateway netip.Addr) *nl.NetlinkRequest {
	q := request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	msg := nl.NewRtMsg() // main table, universe, unicast
	msg.Family = unix.AF_INET
	if gateway.Is6() {
		msg.Family = unix.AF_INET6
	}
	q.AddData(msg)
	q.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, gateway.AsSlice()))
	q.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index))))
	return q
}
