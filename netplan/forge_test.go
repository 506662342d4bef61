package netplan

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func jumpTo(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

// loopbackByWire sends packets to 127.0.0.1 through the interface to the host:
// what a neighbour does to get at what is published for the host alone.
func loopbackByWire(t *testing.T, from place, to string) {
	err := from.in(func() error {
		socket, err := openRTNL()
		if err != nil {
			return err
		}
		defer socket.close()
		index, err := socket.linkIndex("eth0")
		if err != nil {
			return err
		}
		// Its own kernel must let go of 127.0.0.1 first.
		if err := sysctl("ipv4/conf/eth0/route_localnet", "1"); err != nil {
			return err
		}
		lo, err := socket.linkIndex("lo")
		if err != nil {
			return err
		}
		if err := socket.one(delAddress(lo, netip.MustParsePrefix("127.0.0.1/8"))); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return err
		}
		next := hostOutside.Addr()
		if len(from.wires) > 0 {
			next = from.wires[0].Network.Pools[0].Gateway
		}
		return socket.one(routeTo(index, netip.MustParsePrefix("127.0.0.1/32"), next))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, protocol := range []string{"tcp", "udp"} {
		if got := try(from, protocol, to); got != "silence" && got != "refused" {
			t.Errorf("%s: got %q", protocol, got)
		}
	}
}

// forgedSenders sends UDP packets under addresses that are not the sender's.
func forgedSenders(t *testing.T, h *Host, world, client, web, db place, gateway netip.Addr) {
	listen := func(p place, at string) net.PacketConn {
		var c net.PacketConn
		if err := p.in(func() (err error) { c, err = net.ListenPacket("udp4", at); return err }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	port := freshPort()
	host := place{name: "host"}
	for _, tt := range []struct {
		what       string
		from, to   place
		target     netip.Addr
		as         netip.Addr
		mustArrive bool
	}{
		{"a true sender", client, host, gateway, client.address(0), true},
		{"a container as one of another network, to the host", client, host, gateway, db.address(0), false},
		{"a container as a stranger, to the host", client, host, gateway, netip.MustParseAddr("198.51.100.9"), false},
		{"an outsider as a container, to the host", world, host, hostOutside.Addr(), web.address(0), false},
	} {
		t.Run(tt.what, func(t *testing.T) {
			port++
			c := listen(tt.to, netip.AddrPortFrom(netip.IPv4Unspecified(), port).String())
			if err := tt.from.in(func() error { return sendForged(tt.as, netip.AddrPortFrom(tt.target, port)) }); err != nil {
				t.Fatal(err)
			}
			_ = c.SetReadDeadline(time.Now().Add(patience))
			_, _, err := c.ReadFrom(make([]byte, 100))
			if arrived := err == nil; arrived != tt.mustArrive {
				t.Errorf("arrived: %t, want %t (%v)", arrived, tt.mustArrive, err)
			}
		})
	}
}

// sendForged sends one UDP packet with a source address of the caller's choice.
func sendForged(as netip.Addr, to netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	p := make([]byte, 20+8+1)
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], as.AsSlice())
	copy(p[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(p[20:], 4321)
	binary.BigEndian.PutUint16(p[22:], to.Port())
	binary.BigEndian.PutUint16(p[24:], 9)
	return unix.Sendto(fd, p, 0, &unix.SockaddrInet4{Addr: to.Addr().As4()})
}

func delAddress(index int, p netip.Prefix) *nl.NetlinkRequest {
	q := request(unix.RTM_DELADDR, 0)
	msg := nl.NewIfAddrmsg(unix.AF_INET)
	msg.Index, msg.Prefixlen = uint32(index), uint8(p.Bits())
	q.AddData(msg)
	q.AddData(nl.NewRtAttr(unix.IFA_LOCAL, p.Addr().AsSlice()))
	return q
}

func routeTo(index int, p netip.Prefix, gateway netip.Addr) *nl.NetlinkRequest {
	q := request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	msg := nl.NewRtMsg()
	msg.Family, msg.Dst_len = unix.AF_INET, uint8(p.Bits())
	q.AddData(msg)
	q.AddData(nl.NewRtAttr(unix.RTA_DST, p.Addr().AsSlice()))
	q.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, gateway.AsSlice()))
	q.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index))))
	return q
}
