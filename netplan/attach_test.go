package netplan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/project"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// newHost returns a host with an engine root of its own.
func newHost(t testing.TB) *Host {
	t.Helper()
	dir := t.TempDir()
	h, err := NewHost(layout.Root{State: filepath.Join(dir, "lib"), Run: filepath.Join(dir, "run")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Cleanup(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// newNetwork makes a network with its bridge and rules.
func newNetwork(t testing.TB, h *Host, key string, def types.NetworkConfig) Network {
	t.Helper()
	n, err := Define("shop", key, "hash", def)
	if err == nil {
		n, err = h.Create(t.Context(), n)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Delete(context.Background(), n); err != nil {
			t.Error(err)
		}
		if _, err := netlink.LinkByName(n.Bridge); !isMissing(err) {
			t.Errorf("bridge %s is still there (%v)", n.Bridge, err)
		}
	})
	return n
}

// wire puts a container at place (1 for the first) on networks, the default route by the first.
func wire(place int, networks ...Network) []Wire {
	var wires []Wire
	for i, n := range networks {
		left := place
		address, err := n.FreeAddress(func(netip.Addr) bool { left--; return left > 0 })
		if err != nil {
			panic(err)
		}
		a := project.Attachment{Network: n.Name, Interface: fmt.Sprintf("eth%d", i), Address: address, Gateway: i == 0}
		if n.EnableIPv6 {
			left = place
			a.Address6, _ = n.FreeAddress6(func(netip.Addr) bool { left--; return left > 0 })
		}
		wires = append(wires, Wire{Attachment: a, Network: n})
	}
	return wires
}

// attachMany attaches count containers at once, and returns their namespaces.
func attachMany(t testing.TB, h *Host, n Network, round, count int) []string {
	var wg sync.WaitGroup
	paths := make([]string, count)
	for i := range count {
		paths[i] = h.root.Netns(fmt.Sprintf("many-%d-%d", round, i))
		wires := wire(i+1, n)
		wg.Go(func() {
			if err := h.Attach(context.Background(), paths[i], wires, AttachOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return paths
}

func detachMany(t testing.TB, h *Host, paths []string) {
	var wg sync.WaitGroup
	for _, p := range paths {
		wg.Go(func() {
			if err := h.Detach(context.Background(), p); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// BenchmarkAttach30 is 30 containers wired, and unwired, in parallel.
func BenchmarkAttach30(b *testing.B) {
	h := newHost(b)
	n := newNetwork(b, h, "default", types.NetworkConfig{})
	round := 0
	var up, down time.Duration
	for b.Loop() {
		start := time.Now()
		paths := attachMany(b, h, n, round, 30)
		up += time.Since(start)
		start = time.Now()
		detachMany(b, h, paths)
		down += time.Since(start)
		round++
	}
	b.ReportMetric(float64(up.Microseconds())/1000/float64(b.N), "attach-ms")
	b.ReportMetric(float64(down.Microseconds())/1000/float64(b.N), "detach-ms")
}

// The first packet of a new container, and the first to it, arrive: a port that
// opens late would cost a second here.
func TestFirstPacketArrives(t *testing.T) {
	h := newHost(t)
	n := newNetwork(t, h, "default", types.NetworkConfig{})
	port := freshPort()
	serve(t, place{name: "host"}, fmt.Sprintf("0.0.0.0:%d", port))
	for i := range 20 {
		p := container(t, h, fmt.Sprintf("c%d", i), i+1, n)
		if i%2 == 0 {
			if got := try(p, "tcp", netip.AddrPortFrom(n.Pools[0].Gateway, port).String()); !strings.HasPrefix(got, "host sees") {
				t.Errorf("from container %d: %s", i, got)
			}
			continue
		}
		serve(t, p, "0.0.0.0:80")
		if got := try(place{}, "tcp", netip.AddrPortFrom(p.address(0), 80).String()); got != p.name+" sees "+n.Pools[0].Gateway.String() {
			t.Errorf("to container %d: %s", i, got)
		}
	}
}

// Whatever of a container's network is lost, the next Attach brings it back.
func TestAttachMends(t *testing.T) {
	h := newHost(t)
	front := newNetwork(t, h, "front", types.NetworkConfig{})
	back := newNetwork(t, h, "back", types.NetworkConfig{EnableIPv6: yes(true)})
	host := place{name: "host"}
	p := container(t, h, "web", 1, front, back)
	serve(t, p, "0.0.0.0:80")
	neighbour := container(t, h, "neighbour", 2, front, back)
	for _, tt := range []struct {
		what string
		harm func() error
	}{
		{"nothing", func() error { return nil }},
		{"a bridge deleted", func() error { return deleteNow(front.Bridge) }},
		{"a pair deleted from the host", func() error { return deleteNow(hostEnd(p.path, 1)) }},
		{"an interface deleted inside", func() error { return p.in(func() error { return deleteNow("eth0") }) }},
		{"an interface down inside", func() error {
			return p.in(func() error {
				link, err := netlink.LinkByName("eth0")
				if err != nil {
					return err
				}
				return netlink.LinkSetDown(link)
			})
		}},
		{"an address lost", func() error {
			return p.in(func() error {
				link, err := netlink.LinkByName("eth1")
				if err != nil {
					return err
				}
				return netlink.AddrDel(link, &netlink.Addr{IPNet: ipNet(p.wires[1].Attachment.Address)})
			})
		}},
		{"a pair out of its bridge", func() error {
			link, err := netlink.LinkByName(hostEnd(p.path, 0))
			if err != nil {
				return err
			}
			return netlink.LinkSetNoMaster(link)
		}},
	} {
		if err := tt.harm(); err != nil {
			t.Fatalf("%s: %v", tt.what, err)
		}
		for _, n := range []Network{front, back} {
			if err := h.Ensure(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		for _, one := range []place{p, neighbour} {
			if err := h.Attach(t.Context(), one.path, one.wires, AttachOptions{}); err != nil {
				t.Fatalf("%s: %v", tt.what, err)
			}
		}
		for i, n := range []Network{front, back} {
			to := netip.AddrPortFrom(p.address(i), 80).String()
			if got := try(host, "tcp", to); got != "web sees "+n.Pools[0].Gateway.String() {
				t.Errorf("%s: host to %s: %s", tt.what, to, got)
			}
			if got := try(neighbour, "tcp", to); got != "web sees "+neighbour.address(i).String() {
				t.Errorf("%s: neighbour to %s: %s", tt.what, to, got)
			}
		}
	}
	// IPv6 is there too, and the default route where it should be.
	err := p.in(func() error {
		routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		for _, r := range routes {
			if r.Gw != nil && r.Gw.String() != front.Pools[0].Gateway.String() {
				t.Errorf("default route by %s", r.Gw)
			}
		}
		c, err := net.DialTimeout("tcp6", netip.AddrPortFrom(back.Pools[1].Gateway, 1).String(), patience)
		if err == nil {
			c.Close()
		} else if !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("to the gateway by IPv6: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// The path of a running container's namespace is lost: it is bound again from
// the process, not made anew.
func TestAttachFindsNamespaceByProcess(t *testing.T) {
	h := newHost(t)
	n := newNetwork(t, h, "default", types.NetworkConfig{})
	p := container(t, h, "web", 1, n)
	serve(t, p, "0.0.0.0:80")
	cmd := exec.Command("sleep", "1000")
	if err := p.in(cmd.Start); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if err := unbindNetns(p.path); err != nil {
		t.Fatal(err)
	}
	if err := h.Attach(t.Context(), p.path, p.wires, AttachOptions{PID: cmd.Process.Pid}); err != nil {
		t.Fatal(err)
	}
	if got := try(place{}, "tcp", netip.AddrPortFrom(p.address(0), 80).String()); !strings.HasPrefix(got, "web sees") {
		t.Error(got)
	}
}

// A failed Attach leaves nothing, and Detach of nothing is no error.
func TestAttachFails(t *testing.T) {
	h := newHost(t)
	n := newNetwork(t, h, "default", types.NetworkConfig{})
	wires := wire(1, n, n)
	wires[1].Network.Bridge = "nosuch0"
	path := h.root.Netns("web")
	err := h.Attach(t.Context(), path, wires, AttachOptions{})
	if err == nil || err.Error() != "attach to shop_default: bridge nosuch0 is missing" {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the namespace is left: %v", err)
	}
	if _, err := netlink.LinkByName(hostEnd(path, 0)); !isMissing(err) {
		t.Errorf("a pair is left: %v", err)
	}
	if err := h.Detach(t.Context(), path); err != nil {
		t.Error(err)
	}
	wires = wire(1, n)
	wires[0].Attachment.Interface = "../eth0"
	if err := h.Attach(t.Context(), path, wires, AttachOptions{}); err == nil {
		t.Error("an interface name that leads elsewhere is taken")
	}
}

func TestLoopbackOnly(t *testing.T) {
	h := newHost(t)
	p := place{name: "alone", path: h.root.Netns("alone")}
	if err := h.Attach(t.Context(), p.path, nil, AttachOptions{LoopbackOnly: true}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Detach(context.Background(), p.path); err != nil {
			t.Error(err)
		}
	}()
	err := p.in(func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			if up := l.Attrs().Flags&net.FlagUp != 0; l.Attrs().Name == "lo" != up {
				t.Errorf("%s: up %t", l.Attrs().Name, up)
			}
		}
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Two that make the same network at once, and a bridge that was there before.
func TestEnsure(t *testing.T) {
	h := newHost(t)
	n := newNetwork(t, h, "default", types.NetworkConfig{})
	if err := deleteNow(n.Bridge); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			other, err := NewHost(h.root)
			if err == nil {
				err = other.Ensure(context.Background(), n)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	before := generation(t)
	if err := h.Ensure(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if after := generation(t); after != before {
		t.Error("ensuring what is there changes the rules")
	}
	foreign := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "theirs0"}}
	if err := netlink.LinkAdd(foreign); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = netlink.LinkDel(foreign) }()
	used, err := Define("shop", "used", "hash", types.NetworkConfig{DriverOpts: types.Options{optionBridge: "theirs0"}, Ipam: pools("10.77.0.0/24", "", "")})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Ensure(t.Context(), used); err != nil {
		t.Fatal(err)
	}
	if err := h.Delete(t.Context(), used); err != nil {
		t.Fatal(err)
	}
	if _, err := netlink.LinkByName("theirs0"); err != nil {
		t.Errorf("another's bridge is gone: %v", err)
	}
	used.Bridge = "lo"
	if err := h.Ensure(t.Context(), used); err == nil || !strings.Contains(err.Error(), "interface lo is there and is no bridge") {
		t.Error(err)
	}
	_ = h.Delete(t.Context(), used)
}

// Engines of one machine, each with records of its own, never choose the same
// subnet; and one does not bring a bridge back into a subnet that another has
// taken while it was gone.
func TestEnginesOfOneMachine(t *testing.T) {
	const engines, each = 4, 3
	var hosts []*Host
	for range engines {
		hosts = append(hosts, newHost(t))
	}
	made := make(chan Network, engines*each)
	var running sync.WaitGroup
	for _, h := range hosts {
		for i := range each {
			running.Go(func() {
				n, err := Define("shop", fmt.Sprint("net", i), "hash", types.NetworkConfig{})
				if err == nil {
					n, err = h.Create(context.Background(), n)
				}
				if err != nil {
					t.Error(err)
				}
				made <- n
			})
		}
	}
	running.Wait()
	close(made)
	subnets := map[netip.Prefix]string{}
	var one Network
	for n := range made {
		if other := subnets[n.Pools[0].Subnet]; other != "" {
			t.Errorf("bridges %s and %s share %s", other, n.Bridge, n.Pools[0].Subnet)
		}
		subnets[n.Pools[0].Subnet] = n.Bridge
		one = n
	}
	for _, bridge := range subnets {
		if err := deleteNow(bridge); err != nil {
			t.Error(err)
		}
	}

	// Their tables still hold the subnets; one that is only just made, or is
	// just going, holds none.
	transact := func(do func(*nftables.Conn, *nftables.Table)) {
		c, err := nftables.New()
		if err == nil {
			do(c, &nftables.Table{Name: "compose-0badcafe", Family: nftables.TableFamilyINet})
			err = c.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	transact(func(c *nftables.Conn, empty *nftables.Table) { c.AddTable(empty) })
	defer transact(func(c *nftables.Conn, empty *nftables.Table) { c.DelTable(empty) })
	late := newHost(t)
	n, err := Define("shop", "late", "hash", types.NetworkConfig{})
	if err == nil {
		n, err = late.Create(t.Context(), n)
	}
	if err != nil {
		t.Fatal(err)
	}
	if other := subnets[n.Pools[0].Subnet]; other != "" {
		t.Errorf("%s of bridge %s, whose rules are still there, was chosen again", n.Pools[0].Subnet, other)
	}
	if err := late.Delete(t.Context(), n); err != nil {
		t.Error(err)
	}

	theirs := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "theirs0"}}
	if err := netlink.LinkAdd(theirs); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = netlink.LinkDel(theirs) }()
	p := one.Pools[0]
	address := &net.IPNet{IP: p.Gateway.AsSlice(), Mask: net.CIDRMask(p.Subnet.Bits(), 32)}
	err = netlink.AddrAdd(theirs, &netlink.Addr{IPNet: address})
	if err == nil {
		err = netlink.LinkSetUp(theirs)
	}
	if err != nil {
		t.Fatal(err)
	}
	if displaced, err := hosts[0].Displaced(one); err != nil || !displaced {
		t.Errorf("displaced: %v, %v", displaced, err)
	}
	err = hosts[0].Ensure(t.Context(), one)
	if want := fmt.Sprintf("network %s: subnet %s is taken by interface theirs0", one.Name, p.Subnet); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s…", err, want)
	}
}

func deleteNow(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkDel(link)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// BenchmarkEnsure is what it costs to see that a network is there.
func BenchmarkEnsure(b *testing.B) {
	h := newHost(b)
	n := newNetwork(b, h, "default", types.NetworkConfig{})
	for b.Loop() {
		if err := h.Ensure(b.Context(), n); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNetwork is a network made and deleted.
func BenchmarkNetwork(b *testing.B) {
	h := newHost(b)
	newNetwork(b, h, "other", types.NetworkConfig{}) // the table is there, as it mostly is
	n, err := Define("shop", "default", "hash", types.NetworkConfig{Ipam: pools("10.66.0.0/16", "", "")})
	if err != nil {
		b.Fatal(err)
	}
	var made time.Duration
	for b.Loop() {
		start := time.Now()
		if err := h.Ensure(b.Context(), n); err != nil {
			b.Fatal(err)
		}
		made += time.Since(start)
		if err := h.Delete(b.Context(), n); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(made.Microseconds())/1000/float64(b.N), "make-ms")
}

// BenchmarkAttachAgain is a container seen to be wired.
func BenchmarkAttachAgain(b *testing.B) {
	h := newHost(b)
	p := container(b, h, "web", 1, newNetwork(b, h, "default", types.NetworkConfig{}))
	for b.Loop() {
		if err := h.Attach(b.Context(), p.path, p.wires, AttachOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
