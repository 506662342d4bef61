package netplan

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mdnl "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// patience is how long an attempt waits for an answer that should not come.
const patience = 300 * time.Millisecond

// place is a network namespace that attempts are made from: "" is the host.
type place struct {
	name  string
	path  string
	wires []Wire
}

func (p place) address(i int) netip.Addr { return p.wires[i].Attachment.Address.Addr() }

// in runs do in the place, on a thread of its own.
func (p place) in(do func() error) error {
	if p.path == "" {
		return do()
	}
	fd, err := openNetns(p.path)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	done := make(chan error)
	go func() { done <- inNetns(fd, do) }()
	return <-done
}

// container attaches a container, as number place on its networks.
func container(t testing.TB, h *Host, name string, number int, networks ...Network) place {
	t.Helper()
	p := place{name: name, path: h.root.Netns(name), wires: wire(number, networks...)}
	if err := h.Attach(t.Context(), p.path, p.wires, AttachOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Detach(context.Background(), p.path); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Addresses of the world outside: the host's in it, and the neighbour's.
var (
	hostOutside = netip.MustParsePrefix("203.0.113.1/24")
	neighbour   = netip.MustParsePrefix("203.0.113.2/24")
)

// outside makes another machine, on a wire with the host. It sends all that it
// does not know to the host, as an attacker on the same network would.
func outside(t testing.TB, h *Host) place {
	t.Helper()
	p := place{name: "neighbour", path: h.root.Netns("neighbour")}
	if err := h.Attach(t.Context(), p.path, nil, AttachOptions{LoopbackOnly: true}); err != nil {
		t.Fatal(err)
	}
	fd, err := openNetns(p.path)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "outside0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(fd)}
	if err := netlink.LinkAdd(link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(link); _ = h.Detach(context.Background(), p.path) })
	up := func(name string, address netip.Prefix, more func(index int) error) error {
		socket, err := openRTNL()
		if err != nil {
			return err
		}
		defer socket.close()
		index, err := socket.linkIndex(name)
		if err != nil {
			return err
		}
		results, err := socket.do(linkUp(index, name), addAddress(index, address))
		if err := errors.Join(append(results, err)...); err != nil {
			return err
		}
		return more(index)
	}
	if err := up("outside0", hostOutside, func(int) error { return nil }); err != nil {
		t.Fatal(err)
	}
	err = p.in(func() error {
		return up("eth0", neighbour, func(index int) error {
			socket, err := openRTNL()
			if err != nil {
				return err
			}
			defer socket.close()
			return socket.one(defaultRoute(index, hostOutside.Addr()))
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// serve answers TCP and UDP at a port of a place: "NAME sees CLIENT".
func serve(t testing.TB, p place, at string) {
	t.Helper()
	var l net.Listener
	var c net.PacketConn
	err := p.in(func() (err error) {
		if l, err = net.Listen("tcp4", at); err != nil {
			return err
		}
		c, err = net.ListenPacket("udp4", at)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); c.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			fmt.Fprintf(conn, "%s sees %s\n", p.name, host)
			conn.Close()
		}
	}()
	go func() {
		buf := make([]byte, 1500)
		for {
			_, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(from.String())
			_, _ = c.WriteTo([]byte(fmt.Sprintf("%s sees %s\n", p.name, host)), from)
		}
	}()
}

// try connects from a place and says what came of it: the answer, "refused"
// when the way was closed at once, or "silence".
func try(from place, protocol, to string) string {
	var answer string
	err := from.in(func() error {
		d := net.Dialer{Timeout: patience}
		c, err := d.Dial(protocol, to)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		if protocol == "udp" {
			if _, err := c.Write([]byte("?")); err != nil {
				return err
			}
		}
		answer, err = bufio.NewReader(c).ReadString('\n')
		return err
	})
	switch {
	case err == nil:
		return strings.TrimSpace(answer)
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EACCES):
		return "refused"
	case errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(err.Error(), "timeout"):
		return "silence"
	}
	return err.Error()
}

// attempt is one row of a table of who may reach whom.
type attempt struct {
	what     string
	from     place
	protocol string
	to       string
	want     []string // any of these
}

// runAttempts makes all attempts, several at a time: most of them wait for nothing.
func runAttempts(t *testing.T, rows []attempt) {
	t.Helper()
	var running errgroup.Group
	running.SetLimit(16)
	for _, a := range rows {
		running.Go(func() error {
			if got := try(a.from, a.protocol, a.to); !slices.Contains(a.want, got) {
				t.Errorf("%s: %s to %s from %q: got %q, want %q", a.what, a.protocol, a.to, a.from.name, got, a.want)
			}
			return nil
		})
	}
	_ = running.Wait()
}

var portCounter atomic.Uint32

// freshPort returns a port that no other test uses.
func freshPort() uint16 { return uint16(20000 + portCounter.Add(1)) }

// bridgeFilter says whether the kernel shows bridged packets to the IP rules, as
// it does where another engine has asked for it. False: this kernel never does.
func bridgeFilter(t testing.TB, on string) bool {
	t.Helper()
	const setting = "bridge/bridge-nf-call-iptables"
	before, err := os.ReadFile("/proc/sys/net/" + setting)
	if err != nil {
		return false
	}
	if err := sysctl(setting, on); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sysctl(setting, strings.TrimSpace(string(before))) })
	return true
}

// generation is the number of changes that nftables has seen in this namespace.
func generation(t testing.TB) uint32 {
	t.Helper()
	c, err := mdnl.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer, err := c.Execute(mdnl.Message{
		Header: mdnl.Header{Type: mdnl.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN), Flags: mdnl.Request},
		Data:   make([]byte, 4),
	})
	if err != nil || len(answer) != 1 {
		t.Fatal(answer, err)
	}
	attrs, err := mdnl.NewAttributeDecoder(answer[0].Data[4:])
	if err != nil {
		t.Fatal(err)
	}
	attrs.ByteOrder = binary.BigEndian
	for attrs.Next() {
		if attrs.Type() == unix.NFTA_GEN_ID {
			return attrs.Uint32()
		}
	}
	t.Fatal("no generation")
	return 0
}
