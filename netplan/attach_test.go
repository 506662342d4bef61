package netplan

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/project"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/vishvananda/netlink"
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
	n, err := Define("shop", key, def)
	if err == nil {
		n, err = h.store.Create(t.Context(), n)
	}
	if err == nil {
		err = h.Ensure(t.Context(), n)
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
