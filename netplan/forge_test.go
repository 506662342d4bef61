package netplan

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// loopbackByWire sends packets to 127.0.0.1 through the interface to the host:
// what a neighbour does to get at what is published for the host alone.
func loopbackByWire(t *testing.T, from place, targets ...string) {
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
	for _, to := range targets {
		for _, protocol := range []string{"tcp", "udp"} {
			if got := try(from, protocol, to); got != "silence" && got != "refused" {
				t.Errorf("%s to %s: got %q", protocol, to, got)
			}
		}
	}
}

// forgedSenders sends UDP packets under addresses that are not the sender's, to
// the host: as a first packet, and as the answer to one that the host has sent.
func forgedSenders(t *testing.T, world, client, web, db, safe place) {
	gateway := func(p place) netip.Addr { return p.wires[0].Network.Pools[0].Gateway }
	everybody := netip.MustParseAddr("255.255.255.255")
	for _, tt := range []struct {
		what       string
		from       place
		target, as netip.Addr
		known      bool // the host has asked whom the packet seems to be from
		mustArrive bool
	}{
		{"a true sender", client, gateway(client), client.address(0), false, true},
		{"a true answer", db, gateway(db), db.address(0), true, true},
		{"a container as one of another network", client, gateway(client), db.address(0), false, false},
		{"a container as one of another network that was asked", client, gateway(db), db.address(0), true, false},
		{"a container as a stranger", client, gateway(client), netip.MustParseAddr("198.51.100.9"), false, false},
		{"a container as the host", client, gateway(client), hostOutside.Addr(), false, false},
		{"an outsider as a container", world, hostOutside.Addr(), web.address(0), false, false},
		{"an outsider as a container that was asked", world, gateway(web), web.address(0), true, false},
		{"a container to all on its network", client, last(client.wires[0].Network.Pools[0].Subnet), client.address(0), false, true},
		{"an internal container to all on its network", safe, last(safe.wires[0].Network.Pools[0].Subnet), safe.address(0), false, false},
		{"an internal container to all", safe, everybody, safe.address(0), false, false},
		{"an internal container to all hosts", safe, netip.MustParseAddr("224.0.0.1"), safe.address(0), false, false},
	} {
		t.Run(tt.what, func(t *testing.T) {
			c, err := net.ListenPacket("udp4", "0.0.0.0:0")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			own := c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
			if tt.known {
				if _, err := c.WriteTo([]byte("?"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(tt.as, forgedPort))); err != nil {
					t.Fatal(err)
				}
			}
			if err := tt.from.in(func() error { return sendForged(tt.as, netip.AddrPortFrom(tt.target, own)) }); err != nil {
				t.Fatal(err)
			}
			_ = c.SetReadDeadline(time.Now().Add(patience))
			_, _, err = c.ReadFrom(make([]byte, 100))
			if arrived := err == nil; arrived != tt.mustArrive {
				t.Errorf("arrived: %t, want %t (%v)", arrived, tt.mustArrive, err)
			}
		})
	}
}

// forgedPort is where forged packets come from.
const forgedPort = 4321

// sendForged sends one UDP packet with a source address of the caller's choice.
func sendForged(as netip.Addr, to netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// To everybody, by the one interface that a container and a neighbour have.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
		return err
	}
	if err := unix.BindToDevice(fd, "eth0"); err != nil {
		return err
	}
	p := make([]byte, 20+8+1)
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], as.AsSlice())
	copy(p[16:], to.Addr().AsSlice())
	binary.BigEndian.PutUint16(p[20:], forgedPort)
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
