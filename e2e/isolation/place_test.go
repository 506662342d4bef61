package isolation

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// place is a network namespace that something is tried from.
type place struct {
	name    string
	ns      int // open file of the namespace; 0 is the host's
	address netip.Addr
	gateway netip.Addr // what it sends to that it does not know
}

// in runs do in the place.
func (p place) in(do func() error) error {
	if p.ns == 0 {
		return do()
	}
	return onThread(func() error {
		if err := unix.Setns(p.ns, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter %s: %w", p.name, err)
		}
		return do()
	})
}

// onThread runs do on a thread that ends with it.
func onThread(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		done <- do()
	}()
	return <-done
}

// place is the network of a service's container.
func (s *shop) place(service string) place {
	s.Helper()
	fd, err := unix.Open(filepath.Join(engine.Root, "run", "netns", s.id(service)), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { unix.Close(fd) })
	p := place{name: s.name + "/" + service, ns: fd}
	err = p.in(func() error {
		eth, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		addresses, err := eth.Addrs()
		if err != nil || len(addresses) == 0 {
			return fmt.Errorf("eth0 has no address: %w", err)
		}
		prefix, err := netip.ParsePrefix(addresses[0].String())
		p.address, p.gateway = prefix.Addr(), prefix.Masked().Addr().Next()
		return err
	})
	if err != nil {
		s.Fatalf("look at the network of %s: %v", p.name, err)
	}
	return p
}

// neighbour makes another machine on a wire with the host, which it sends all
// that it does not know to. Host is this machine's address on that wire.
func neighbour(t *testing.T) (p place, host netip.Addr) {
	t.Helper()
	// A subnet for benchmarks (RFC 2544), apart from other runs of this test.
	pid := os.Getpid()
	host = netip.AddrFrom4([4]byte{198, 18, byte(pid >> 6), byte(pid<<2) | 1})
	p = place{name: "neighbour", address: host.Next(), gateway: host}
	err := onThread(func() (err error) {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			p.ns, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p.ns) })
	name := fmt.Sprintf("nb%d", pid)
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "eth0", PeerNamespace: netlink.NsFd(p.ns)}
	if err := netlink.LinkAdd(link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(link) })
	if err := up(name, host); err != nil {
		t.Fatal(err)
	}
	err = p.in(func() error {
		if err := up("eth0", p.address); err != nil {
			return err
		}
		if err := up("lo", netip.Addr{}); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Gw: host.AsSlice()})
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, host
}

func up(name string, address netip.Addr) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if address.IsValid() {
		a := &netlink.Addr{IPNet: &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(30, 32)}}
		if err := netlink.AddrAdd(link, a); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// serve answers TCP and UDP at a port of a place with the place's name. Port 0
// is a free one, which it returns.
func (p place) serve(t *testing.T, at netip.AddrPort) uint16 {
	t.Helper()
	var l net.Listener
	var c net.PacketConn
	err := p.in(func() (err error) {
		if l, err = net.Listen("tcp", at.String()); err != nil {
			return err
		}
		c, err = net.ListenPacket("udp", l.Addr().String())
		return err
	})
	if err != nil {
		t.Fatalf("serve in %s: %v", p.name, err)
	}
	t.Cleanup(func() { l.Close(); c.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(conn, p.name)
			conn.Close()
		}
	}()
	go func() {
		for buf := make([]byte, 1500); ; {
			_, from, err := c.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = c.WriteTo([]byte(p.name+"\n"), from)
			}
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// silence is how long an attempt waits for an answer that should not come.
const silence = 400 * time.Millisecond

// dial says who answers at an address: nobody is "".
func (p place) dial(network string, to netip.AddrPort) string {
	var answer string
	_ = p.in(func() error {
		c, err := net.DialTimeout(network, to.String(), silence)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(silence))
		if _, err := c.Write([]byte("?")); err != nil {
			return err
		}
		answer, err = bufio.NewReader(c).ReadString('\n')
		return err
	})
	return strings.TrimSpace(answer)
}

// forge sends one UDP packet of IPv4 with a sender of the caller's choice.
func (p place) forge(as, to netip.AddrPort) error {
	return p.in(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
			return err
		}
		if err := unix.BindToDevice(fd, "eth0"); err != nil {
			return err
		}
		const header = 20 + 8 // RFC 791, RFC 768
		b := make([]byte, header+1)
		b[0], b[8], b[9] = 0x45, 64, unix.IPPROTO_UDP
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		copy(b[12:], as.Addr().AsSlice())
		copy(b[16:], to.Addr().AsSlice())
		binary.BigEndian.PutUint16(b[20:], as.Port())
		binary.BigEndian.PutUint16(b[22:], to.Port())
		binary.BigEndian.PutUint16(b[24:], 8+1)
		return unix.Sendto(fd, b, 0, &unix.SockaddrInet4{Addr: to.Addr().As4()})
	})
}

// claim tells everybody on the place's network that an address is its own, and
// so does it to whoever asks, as ARP goes.
// Source: RFC 826; and RFC 5227 for the announcement.
func (p place) claim(address netip.Addr) error {
	return p.in(func() error {
		eth, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		const arp = 0x0806
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		everybody := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
		for _, operation := range []byte{1, 2} { // asks, answers
			b := []byte{0, 1, 8, 0, 6, 4, 0, operation} // Ethernet, IPv4
			b = append(append(b, eth.HardwareAddr...), address.AsSlice()...)
			b = append(append(b, everybody...), address.AsSlice()...)
			to := &unix.SockaddrLinklayer{Protocol: arp>>8 | arp&0xff<<8, Ifindex: eth.Index, Halen: 6}
			copy(to.Addr[:], everybody)
			if err := unix.Sendto(fd, b, 0, to); err != nil {
				return err
			}
		}
		return nil
	})
}
