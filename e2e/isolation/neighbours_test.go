package isolation

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// attempt is one row of the table of who reaches whom, in either version of IP.
type attempt struct {
	what string
	from place
	to   netip.AddrPort
	open string // who answers; "" is nobody
}

// TestNeighbours has containers of another project and another machine try
// what is not theirs, over TCP and UDP.
func TestNeighbours(t *testing.T) {
	anywhere, loopback := freePort(t), freePort(t)
	victim := open(t, "victim", "compose.yaml", fmt.Sprintf(`
services:
  web:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    ports: ["%[1]d:80", "%[1]d:80/udp", "127.0.0.1:%[2]d:80", "127.0.0.1:%[2]d:80/udp"]
  mate: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s}
  safe: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, networks: [vault]}
  safer: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, networks: [vault]}
networks:
  vault: {internal: true}
`, anywhere, loopback))
	rival := open(t, "rival", "compose.yaml", `
services:
  thief: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s}
  mole: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, networks: [cellar]}
networks:
  cellar: {internal: true}
`)
	victim.must("up", "-d")
	rival.must("up", "-d")
	web, mate, safe, safer := victim.place("web"), victim.place("mate"), victim.place("safe"), victim.place("safer")
	thief, mole := rival.place("thief"), rival.place("mole")
	outside, hostAddress := neighbour(t)
	host := place{name: "host", address: hostAddress}

	all, local := netip.IPv4Unspecified(), netip.MustParseAddr("127.0.0.1")
	for _, p := range []place{web, mate, safe, safer, thief, mole, outside} {
		p.serve(t, netip.AddrPortFrom(all, 80))
	}
	hostPort := host.serve(t, netip.AddrPortFrom(all, 0))
	loopPort := host.serve(t, netip.AddrPortFrom(local, 0))
	gatewayPort := host.serve(t, netip.AddrPortFrom(web.gateway, 0))
	at := netip.AddrPortFrom

	rows := []attempt{
		{"a neighbour on the network", mate, at(web.address, 80), web.name},
		{"the outside", web, at(outside.address, 80), outside.name},
		{"the host by a container's own gateway", web, at(web.gateway, hostPort), host.name},
		{"a service of the host for one bridge, from there", web, at(web.gateway, gatewayPort), host.name},
		{"an internal neighbour", safe, at(safer.address, 80), safer.name},
		{"a published port, from outside", outside, at(hostAddress, anywhere), web.name},
		{"a published port, from another project", thief, at(hostAddress, anywhere), web.name},
		{"a port of 127.0.0.1, from the host", host, at(local, loopback), web.name},
		{"a service of the host's 127.0.0.1, from the host", host, at(local, loopPort), host.name},

		{"a port of 127.0.0.1, from outside", outside, at(hostAddress, loopback), ""},
		{"a port of 127.0.0.1, from outside by a gateway", outside, at(web.gateway, loopback), ""},
		{"a port of 127.0.0.1, from another project", thief, at(hostAddress, loopback), ""},
		{"a port of 127.0.0.1, from another project by its gateway", thief, at(thief.gateway, loopback), ""},
		{"a service of the host's 127.0.0.1, by a gateway", thief, at(thief.gateway, loopPort), ""},
		{"a container directly, from outside", outside, at(web.address, 80), ""},
		{"an internal container directly, from outside", outside, at(safe.address, 80), ""},
		{"a container directly, from another project", thief, at(web.address, 80), ""},
		{"an internal container, from another project", thief, at(safe.address, 80), ""},
		{"an internal container, from its own project's other network", web, at(safe.address, 80), ""},
		{"another bridge's gateway, from another project", thief, at(web.gateway, hostPort), ""},
		{"a service of the host for one bridge, from another project", thief, at(web.gateway, gatewayPort), ""},
		{"a service of the host for one bridge, from outside", outside, at(web.gateway, gatewayPort), ""},
		{"an internal network's way out", mole, at(outside.address, 80), ""},
		{"an internal network's way to the host", mole, at(mole.gateway, hostPort), ""},
		{"an internal network's way to another of the host's addresses", mole, at(hostAddress, hostPort), ""},
		{"an internal network's way to another project", mole, at(web.address, 80), ""},
		{"an internal network's way to another internal one", mole, at(safe.address, 80), ""},
		{"an internal network's way to a published port", mole, at(hostAddress, anywhere), ""},
	}
	t.Run("table", func(t *testing.T) { tryAll(t, rows) })

	// Whoever sends to 127.0.0.0/8 by a wire needs a kernel that lets it go.
	for _, from := range []place{outside, thief, mole} {
		t.Run("loopback by the wire of "+filepath.Base(from.name), func(t *testing.T) {
			loopbackByWire(t, from)
			strange := netip.MustParseAddr("127.0.0.53")
			arrivals := sniff(t, strange)
			tryAll(t, []attempt{
				{"a port of 127.0.0.1", from, at(local, loopback), ""},
				{"a service of the host's 127.0.0.1", from, at(local, loopPort), ""},
				{"another address of 127.0.0.0/8", from, at(strange, hostPort), ""},
			})
			if arrivals() == 0 {
				t.Error("no packet reached this machine: nothing was tried")
			}
		})
	}
	t.Run("forged senders", func(t *testing.T) { forgedSenders(t, hostAddress, web, thief, mole, outside) })
	t.Run("claimed addresses", func(t *testing.T) {
		for _, liar := range []place{thief, outside} {
			for _, claimed := range []netip.Addr{web.address, web.gateway, mate.address} {
				if err := liar.claim(claimed); err != nil {
					t.Fatal(err)
				}
			}
		}
		tryAll(t, []attempt{
			{"a container from the host", host, at(web.address, 80), web.name},
			{"a container from its neighbour", mate, at(web.address, 80), web.name},
			{"the host from a container", web, at(web.gateway, hostPort), host.name},
		})
	})
}

// tryAll makes all attempts over TCP and UDP, several at a time: most wait for nothing.
func tryAll(t *testing.T, rows []attempt) {
	t.Helper()
	var running errgroup.Group
	running.SetLimit(16)
	for _, a := range rows {
		for _, network := range []string{"tcp", "udp"} {
			running.Go(func() error {
				got := a.from.dial(network, a.to)
				for deadline := time.Now().Add(patience); a.open != "" && got != a.open && time.Now().Before(deadline); {
					got = a.from.dial(network, a.to) // a busy machine may be slow to let through, not to refuse
				}
				if got != a.open {
					t.Errorf("%s: %s from %s to %s: answered by %q, want %q", a.what, network, a.from.name, a.to, got, a.open)
				}
				return nil
			})
		}
	}
	_ = running.Wait()
}

// loopbackByWire makes a place's own kernel send what is for 127.0.0.0/8 by
// its interface.
func loopbackByWire(t *testing.T, p place) {
	t.Helper()
	err := p.in(func() error {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/eth0/route_localnet", []byte("1"), 0); err != nil {
			return err
		}
		eth, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		loopback := &net.IPNet{IP: net.IPv4(127, 0, 0, 0), Mask: net.CIDRMask(8, 32)}
		if err := netlink.AddrDel(lo, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(127, 0, 0, 1), Mask: loopback.Mask}}); err != nil {
			return err
		}
		return netlink.RouteReplace(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: loopback, Gw: p.gateway.AsSlice()})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sniff counts the packets to an address that come in by a wire, before any
// rule sees them.
func sniff(t *testing.T, to netip.Addr) (arrivals func() int) {
	t.Helper()
	const everything = unix.ETH_P_ALL
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, everything>>8|everything&0xff<<8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return func() int {
		count := 0
		for b := make([]byte, 64); ; {
			n, from, err := unix.Recvfrom(fd, b, unix.MSG_TRUNC)
			if err != nil {
				return count
			}
			wire, ok := from.(*unix.SockaddrLinklayer)
			if ok && wire.Hatype == unix.ARPHRD_ETHER && wire.Pkttype != unix.PACKET_OUTGOING && n >= 20 && bytes.Equal(b[16:20], to.AsSlice()) {
				count++
			}
		}
	}
}

// forgedSenders sends to the host under addresses that are not the sender's:
// at first, and as the answer to what the host has asked.
func forgedSenders(t *testing.T, hostAddress netip.Addr, web, thief, mole, outside place) {
	everybody := netip.MustParseAddr("255.255.255.255")
	for _, tt := range []struct {
		what    string
		from    place
		as, to  netip.Addr
		asked   bool // the host has sent something to whom the packet seems to be from
		arrives bool
	}{
		{"a true sender", thief, thief.address, thief.gateway, false, true},
		{"a true answer", web, web.address, web.gateway, true, true},
		{"another project's container", thief, web.address, thief.gateway, false, false},
		{"another project's container, asked", thief, web.address, web.gateway, true, false},
		{"a stranger", thief, netip.MustParseAddr("192.0.2.9"), thief.gateway, false, false},
		{"the neighbour, asked", thief, outside.address, hostAddress, true, false},
		{"the host itself", thief, hostAddress, thief.gateway, false, false},
		{"127.0.0.1", thief, netip.MustParseAddr("127.0.0.1"), thief.gateway, false, false},
		{"a container, from outside", outside, web.address, hostAddress, false, false},
		{"a container, from outside, asked", outside, web.address, web.gateway, true, false},
		{"an internal container to all", mole, mole.address, everybody, false, false},
		{"an internal container to all hosts", mole, mole.address, netip.MustParseAddr("224.0.0.1"), false, false},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			c, err := net.ListenPacket("udp4", "0.0.0.0:0")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			const port = 4321
			own := c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
			as := netip.AddrPortFrom(tt.as, port)
			if tt.asked {
				if _, err := c.WriteTo([]byte("?"), net.UDPAddrFromAddrPort(as)); err != nil {
					t.Fatal(err)
				}
			}
			if err := tt.from.forge(as, netip.AddrPortFrom(tt.to, own)); err != nil {
				t.Fatal(err)
			}
			_ = c.SetReadDeadline(time.Now().Add(silence))
			if tt.arrives {
				_ = c.SetReadDeadline(time.Now().Add(patience))
			}
			_, _, err = c.ReadFrom(make([]byte, 100))
			if arrived := err == nil; arrived != tt.arrives {
				t.Errorf("arrived: %t, want %t (%v)", arrived, tt.arrives, err)
			}
		})
	}
}

// freePort is a TCP port of all addresses that nobody listens on.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, text, _ := net.SplitHostPort(l.Addr().String())
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(port)
}
