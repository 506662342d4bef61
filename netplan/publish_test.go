package netplan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-first/compose/project"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/nftables"
)

// publishedPort is a port of a service that places serve at their port 80.
func publishedPort(service, protocol string, port uint16, places ...place) Published {
	p := Published{Service: service, Port: project.Port{Published: port, Target: 80, Protocol: protocol}}
	for _, one := range places {
		p.Backends = append(p.Backends, netip.AddrPortFrom(one.address(0), 80))
	}
	return p
}

func mustPublish(t testing.TB, h *Host, desired ...Published) {
	t.Helper()
	if err := h.Publish(t.Context(), desired); err != nil {
		t.Fatal(err)
	}
}

func TestPublishBalances(t *testing.T) {
	h := newHost(t)
	n := newNetwork(t, h, "default", types.NetworkConfig{})
	host := place{name: "host"}
	var webs []place
	for i := range 3 {
		webs = append(webs, container(t, h, fmt.Sprintf("web-%d", i+1), i+1, n))
		serve(t, webs[i], "0.0.0.0:80")
	}
	port := freshPort()
	to := fmt.Sprintf("127.0.0.1:%d", port)
	mustPublish(t, h, publishedPort("shop/web", "tcp", port, webs...))
	count := func(tries int) map[string]int {
		answers := map[string]int{}
		for range tries {
			answers[strings.Fields(try(host, "tcp", to))[0]]++
		}
		return answers
	}
	if got := fmt.Sprint(count(30)); got != "map[web-1:10 web-2:10 web-3:10]" {
		t.Errorf("of 30 connections: %s", got)
	}
	mustPublish(t, h, publishedPort("shop/web", "tcp", port, webs[1]))
	if got := fmt.Sprint(count(5)); got != "map[web-2:5]" {
		t.Errorf("after scaling down to the second: %s", got)
	}
	mustPublish(t, h, publishedPort("shop/web", "tcp", port))
	start := time.Now()
	if got := fmt.Sprint(count(5)); got != "map[refused:5]" || time.Since(start) > patience {
		t.Errorf("without replicas: %s after %s", got, time.Since(start))
	}
	mustPublish(t, h)
	if got := fmt.Sprint(count(1)); got != "map[refused:1]" {
		t.Errorf("not published any more: %s", got)
	}
}

// A connection lives on while its replica is on its way out.
func TestOpenConnectionsFinish(t *testing.T) {
	h := newHost(t)
	n := newNetwork(t, h, "default", types.NetworkConfig{})
	a, b := container(t, h, "a", 1, n), container(t, h, "b", 2, n)
	port := freshPort()
	var l net.Listener
	if err := a.in(func() (err error) { l, err = net.Listen("tcp4", "0.0.0.0:80"); return err }); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mustPublish(t, h, publishedPort("shop/web", "tcp", port, a))
	client, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	mustPublish(t, h, publishedPort("shop/web", "tcp", port, b))
	if _, err := server.Write([]byte("bye\n")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4)
	_ = client.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := client.Read(buf); err != nil || string(buf) != "bye\n" {
		t.Errorf("read %q, %v", buf, err)
	}
}

// A UDP sender that never pauses follows its service to another replica.
func TestUDPFollows(t *testing.T) {
	h := newHost(t)
	n := newNetwork(t, h, "default", types.NetworkConfig{})
	world := outside(t, h)
	a, b := container(t, h, "a", 1, n), container(t, h, "b", 2, n)
	serve(t, a, "0.0.0.0:80")
	serve(t, b, "0.0.0.0:80")
	port := freshPort()
	for _, from := range []place{world, {name: "host"}} {
		to := netip.AddrPortFrom(hostOutside.Addr(), port).String()
		var c net.Conn
		if err := from.in(func() (err error) { c, err = net.Dial("udp", to); return err }); err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ask := func() string {
			buf := make([]byte, 100)
			_ = c.SetDeadline(time.Now().Add(patience))
			if _, err := c.Write([]byte("?")); err != nil {
				return "nobody" // refused at once
			}
			n, err := c.Read(buf)
			if err != nil {
				return "nobody"
			}
			return strings.Fields(string(buf[:n]))[0]
		}
		for _, step := range []struct {
			replicas []place
			want     string
		}{{[]place{a}, "a"}, {[]place{b}, "b"}, {nil, "nobody"}, {[]place{a}, "a"}} {
			mustPublish(t, h, publishedPort("shop/dns", "udp", port, step.replicas...))
			got := ask()
			if got != step.want {
				got = ask() // a refusal that was under way is told to the next write
			}
			if got != step.want {
				t.Errorf("from %s: %s answers, want %s", from.name, got, step.want)
			}
		}
	}
}

// What is right already is not touched, by this process or another.
func TestPublishChangesOnlyWhatDiffers(t *testing.T) {
	h := newHost(t)
	newNetwork(t, h, "default", types.NetworkConfig{})
	at := func(a string) []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort(a)} }
	web := Published{Service: "shop/web", Port: project.Port{Published: 8080, Target: 80}, Backends: at("10.9.0.2:80")}
	api := Published{Service: "shop/api", Port: project.Port{HostIP: netip.MustParseAddr("127.0.0.1"), Published: 8081, Target: 80}, Backends: at("10.9.0.3:80")}
	mustPublish(t, h, web, api)
	before := generation(t)
	again, err := NewHost(h.root)
	if err != nil {
		t.Fatal(err)
	}
	mustPublish(t, again, api, web)
	if after := generation(t); after != before {
		t.Errorf("publishing the same changed the rules %d times", after-before)
	}
	api.Backends = at("10.9.0.4:80")
	mustPublish(t, again, web, api)
	if after := generation(t); after != before+1 {
		t.Errorf("one service changed: %d transactions", after-before)
	}
	if got := chains(t, h); got != "[svc-shop/api-127.0.0.1-8081-tcp svc-shop/web-8080-tcp]" {
		t.Error(got)
	}
	// A service takes a port over from another, and all of it in one step each.
	web.Port.Published = 8082
	other := web
	other.Service, other.Port.Published = "shop/other", 8080
	mustPublish(t, again, web, other)
	if got := chains(t, h); got != "[svc-shop/other-8080-tcp svc-shop/web-8082-tcp]" {
		t.Error(got)
	}
	// Two that want one port: the first has it, and the error names both.
	clash := other
	clash.Service = "shop/late"
	err = h.Publish(t.Context(), []Published{other, clash, web})
	if err == nil || err.Error() != "port 8080/tcp of shop/late is already in use by shop/other" {
		t.Error(err)
	}
	mustPublish(t, h)
	if got := chains(t, h); got != "[]" {
		t.Error(got)
	}
}

func chains(t *testing.T, h *Host) string {
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, chain := range all {
		if chain.Table.Name == h.tag && strings.HasPrefix(chain.Name, "svc-") {
			names = append(names, chain.Name)
		}
	}
	slices.Sort(names)
	return fmt.Sprint(names)
}

// The table is deleted by hand: everything comes back with the next calls.
func TestTableMended(t *testing.T) {
	h := newHost(t)
	n := newNetwork(t, h, "default", types.NetworkConfig{})
	web := container(t, h, "web", 1, n)
	serve(t, web, "0.0.0.0:80")
	port := freshPort()
	desired := publishedPort("shop/web", "tcp", port, web)
	mustPublish(t, h, desired)
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	c.DelTable(newTable(h.tag).Table)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if there, err := h.RulesThere(); there || err != nil {
		t.Errorf("without a table the rules are there: %t, %v", there, err)
	}
	to := fmt.Sprintf("127.0.0.1:%d", port)
	if got := try(place{}, "tcp", to); got != "refused" {
		t.Fatalf("without a table: %s", got)
	}
	mustPublish(t, h, desired)
	if err := h.Ensure(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if there, err := h.RulesThere(); !there || err != nil {
		t.Errorf("mended, the rules are there: %t, %v", there, err)
	}
	if got := try(place{}, "tcp", to); !strings.HasPrefix(got, "web sees") {
		t.Errorf("mended: %s", got)
	}
}

func TestKeyAndChain(t *testing.T) {
	for _, tt := range []struct{ name, service, ip, protocol, want string }{
		{"every address", "shop/web", "", "tcp", "svc-shop/web-80-tcp of shop/web"},
		{"the unspecified address is every one", "shop/web", "0.0.0.0", "tcp", "svc-shop/web-80-tcp of shop/web"},
		{"one address", "shop/web", "127.0.0.1", "udp", "svc-shop/web-127.0.0.1-80-udp of shop/web"},
		{"no protocol is tcp", "shop/web", "", "", "svc-shop/web-80-tcp of shop/web"},
		{"IPv6 is not for the kernel", "shop/web", "::1", "tcp", "none"},
		{"nor is a protocol it cannot lead", "shop/web", "", "icmp", "none"},
		{"a name like the end of a chain's", "a/b-1-tcp", "", "tcp", "svc-a/b-1-tcp-80-tcp of a/b-1-tcp"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := project.Port{Published: 80, Protocol: tt.protocol}
			if tt.ip != "" {
				p.HostIP = netip.MustParseAddr(tt.ip)
			}
			got := "none"
			if k, ok := keyOf(p); ok {
				chain := chainName(k, service{Name: tt.service})
				got = chain + " of " + ownerOf(chain)
				set, e := newTable("x").element(k)
				if back, ok := readKey(e.Key); !ok || back != k || set == nil {
					t.Errorf("key %v is read back as %v", k, back)
				}
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	long := strings.Repeat("long", 100)
	if name := chainName(portKey{Protocol: "tcp", Port: 1}, service{Name: long}); len(name) > chainLength {
		t.Errorf("a chain name of %d bytes", len(name))
	}
}

func TestCleanupLeavesNothing(t *testing.T) {
	h := newHost(t)
	n := newNetwork(t, h, "default", types.NetworkConfig{EnableIPv6: yes(true)})
	mustPublish(t, h, publishedPort("shop/web", "tcp", freshPort()))
	if err := h.Delete(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if err := h.Delete(t.Context(), n); err != nil {
		t.Errorf("again: %v", err)
	}
	for range 2 {
		if err := h.Cleanup(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := c.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if table.Name == h.tag {
			t.Errorf("table %s is left", table.Name)
		}
	}
	if err := h.Publish(t.Context(), nil); err != nil {
		t.Errorf("publishing nothing without a table: %v", err)
	}
	if err := h.CheckPorts(t.Context(), nil); errors.Is(err, ErrPortTaken) {
		t.Error(err)
	}
}

func BenchmarkPublish(b *testing.B) {
	h := newHost(b)
	newNetwork(b, h, "default", types.NetworkConfig{})
	var desired []Published
	for i := range 30 {
		desired = append(desired, Published{
			Service: fmt.Sprintf("shop/s%d", i), Port: project.Port{Published: uint16(9000 + i), Target: 80},
			Backends: []netip.AddrPort{netip.MustParseAddrPort("10.9.0.2:80")},
		})
	}
	mustPublish(b, h, desired...)
	b.Run("nothing of 30 changes", func(b *testing.B) {
		for b.Loop() {
			mustPublish(b, h, desired...)
		}
	})
	b.Run("one of 30 changes", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			desired[0].Backends = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 1, byte(i)}), 80)}
			mustPublish(b, h, desired...)
		}
	})
}
