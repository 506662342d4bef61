package netplan

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/lock"
	"github.com/compose-first/compose/project"
	"github.com/compose-spec/compose-go/v2/types"
)

func prefixes(text string) []netip.Prefix {
	var all []netip.Prefix
	for _, f := range strings.Fields(text) {
		all = append(all, netip.MustParsePrefix(f))
	}
	return all
}

// show is a result in one line, or its error.
func show(v fmt.Stringer, err error) string {
	if err != nil {
		return err.Error()
	}
	return v.String()
}

func TestChoosePool(t *testing.T) {
	for _, tt := range []struct{ name, taken, want string }{
		{"nothing taken gives the first", "", "172.18.0.0/20"},
		{"what is taken is passed over", "172.18.0.0/20 172.18.16.0/20", "172.18.32.0/20"},
		{"a hole is filled", "172.18.0.0/20 172.18.32.0/20", "172.18.16.0/20"},
		{"a smaller neighbour blocks the subnet it lies in", "172.18.3.0/24", "172.18.16.0/20"},
		{"a wider one blocks all it covers", "172.16.0.0/12", "192.168.128.0/20"},
		{"IPv6 is no neighbour", "fd00::/8", "172.18.0.0/20"},
		{"the last space", "172.16.0.0/12 192.168.0.0/16 10.128.0.0/10", "10.192.0.0/20"},
		{"everything taken", "172.16.0.0/12 192.168.0.0/16 10.0.0.0/8", "address pool is full"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ChoosePool(prefixes(tt.taken))
			if got := show(p.Subnet, err); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if err == nil && p.check() != nil {
				t.Error(p.check())
			}
		})
	}
}

func TestFreeAddress(t *testing.T) {
	for _, tt := range []struct{ name, pool, gateway, within, aux, taken, want string }{
		{"the first address is behind the gateway", "10.0.0.0/24", "10.0.0.1", "", "", "", "10.0.0.2/24"},
		{"what is taken is passed over", "10.0.0.0/24", "10.0.0.1", "", "", "10.0.0.2 10.0.0.3", "10.0.0.4/24"},
		{"a gateway elsewhere frees the first", "10.0.0.0/24", "10.0.0.254", "", "", "", "10.0.0.1/24"},
		{"a range is kept to", "10.0.0.0/24", "10.0.0.1", "10.0.0.128/25", "", "", "10.0.0.128/24"},
		{"auxiliary addresses are nobody's", "10.0.0.0/24", "10.0.0.1", "", "10.0.0.2", "", "10.0.0.3/24"},
		{"the last address is for all", "10.0.0.0/30", "10.0.0.1", "", "", "10.0.0.2", "network n: 10.0.0.0/30: address pool is full"},
		{"a full range", "10.0.0.0/24", "10.0.0.1", "10.0.0.4/31", "", "10.0.0.4 10.0.0.5", "network n: 10.0.0.4/31: address pool is full"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Pool{Subnet: netip.MustParsePrefix(tt.pool), Gateway: netip.MustParseAddr(tt.gateway)}
			if tt.within != "" {
				p.Range = netip.MustParsePrefix(tt.within)
			}
			if tt.aux != "" {
				p.Aux = map[string]netip.Addr{"router": netip.MustParseAddr(tt.aux)}
			}
			n := Network{Name: "n", EnableIPv4: true, Pools: []Pool{p}}
			got := show(n.FreeAddress(func(a netip.Addr) bool { return strings.Contains(" "+tt.taken+" ", " "+a.String()+" ") }))
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestStatic(t *testing.T) {
	n := Network{Name: "n", Pools: []Pool{{Subnet: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.1")}}}
	for _, tt := range []struct{ address, want string }{
		{"10.0.0.9", "10.0.0.9/24"},
		{"10.0.1.9", "network n: address 10.0.1.9 is in none of its subnets (10.0.0.0/24)"},
		{"10.0.0.1", "network n: address 10.0.0.1 is reserved: it is the gateway's, an auxiliary one, or the subnet's first or last"},
		{"10.0.0.255", "network n: address 10.0.0.255 is reserved: it is the gateway's, an auxiliary one, or the subnet's first or last"},
		{"fd00::9", "network n: address fd00::9 is in none of its subnets (10.0.0.0/24)"},
	} {
		if got := show(n.Static(netip.MustParseAddr(tt.address))); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.address, got, tt.want)
		}
	}
}

func yes(b bool) *bool { return &b }

func pools(subnet, gateway, within string) types.IPAMConfig {
	return types.IPAMConfig{Config: []*types.IPAMPool{{Subnet: subnet, Gateway: gateway, IPRange: within}}}
}

func TestDefine(t *testing.T) {
	describe := func(n Network) string {
		s := fmt.Sprintf("%s %s", n.Name, n.Driver)
		if n.Internal {
			s += " internal"
		}
		if n.EnableIPv6 {
			s += " ipv6"
		}
		if n.MTU > 0 {
			s += fmt.Sprintf(" mtu %d", n.MTU)
		}
		for _, p := range n.Pools {
			s += fmt.Sprintf(" %s by %s", p.Subnet, p.Gateway)
		}
		return s
	}
	for _, tt := range []struct {
		name string
		def  types.NetworkConfig
		want string
	}{
		{"defaults", types.NetworkConfig{}, "shop_front bridge"},
		{"a name of its own", types.NetworkConfig{Name: "wide"}, "wide bridge"},
		{"internal", types.NetworkConfig{Internal: true}, "shop_front bridge internal"},
		{"the host's network", types.NetworkConfig{Driver: "host"}, "shop_front host"},
		{"an external one says nothing but its name", types.NetworkConfig{Name: "wide", External: true}, "wide "},
		{"a subnet, its gateway the first address", types.NetworkConfig{Ipam: pools("10.9.0.0/16", "", "")}, "shop_front bridge 10.9.0.0/16 by 10.9.0.1"},
		{"a subnet written with host bits", types.NetworkConfig{Ipam: pools("10.9.8.7/16", "10.9.0.9", "")}, "shop_front bridge 10.9.0.0/16 by 10.9.0.9"},
		{"a subnet of a family that is off", types.NetworkConfig{Ipam: pools("fd00::/64", "", "")}, "shop_front bridge"},
		{"IPv6", types.NetworkConfig{EnableIPv6: yes(true), Ipam: pools("fd00::/64", "", "")}, "shop_front bridge ipv6 fd00::/64 by fd00::1"},
		{"mtu", types.NetworkConfig{DriverOpts: types.Options{optionMTU: "1400"}}, "shop_front bridge mtu 1400"},

		{"a driver of a swarm", types.NetworkConfig{Driver: "overlay"}, `network front: driver "overlay" is unknown (there are bridge, host and none)`},
		{"no address family", types.NetworkConfig{EnableIPv4: yes(false)}, "network front: enable_ipv4 and enable_ipv6 are both false"},
		{"a bad name", types.NetworkConfig{Name: "../x"}, `network name "../x": letters, digits, '_', '.' and '-' only, a letter or digit first, at most 200`},
		{"a bad subnet", types.NetworkConfig{Ipam: pools("10.9.0.0", "", "")}, `network front: ipam: subnet "10.9.0.0" is not in CIDR form`},
		{"a subnet with no room", types.NetworkConfig{Ipam: pools("10.9.0.0/31", "", "")}, "network front: ipam: subnet 10.9.0.0/31 is too small for a gateway and a container"},
		{"the host's loopback", types.NetworkConfig{Ipam: pools("127.1.0.0/16", "", "")}, "network front: ipam: subnet 127.1.0.0/16 cannot be used for containers"},
		{"a gateway outside", types.NetworkConfig{Ipam: pools("10.9.0.0/16", "10.8.0.1", "")}, "network front: ipam: gateway 10.8.0.1 is no host address of subnet 10.9.0.0/16"},
		{"a range outside", types.NetworkConfig{Ipam: pools("10.9.0.0/16", "", "10.8.0.0/24")}, "network front: ipam: range 10.8.0.0/24 is outside subnet 10.9.0.0/16"},
		{"an unknown address manager", types.NetworkConfig{Ipam: types.IPAMConfig{Driver: "dhcp"}}, `network front: ipam driver "dhcp" is unknown (there is default)`},
		{"an interface name too long", types.NetworkConfig{DriverOpts: types.Options{optionBridge: "sixteen-letters-"}}, `network front: driver_opts: com.docker.network.bridge.name: interface name "sixteen-letters-": letters, digits, '_', '.' and '-' only, at most 15`},
		{"a truth that is none", types.NetworkConfig{DriverOpts: types.Options{optionICC: "perhaps"}}, `network front: driver_opts: com.docker.network.bridge.enable_icc: "perhaps" is neither true nor false`},
		{"an mtu too large", types.NetworkConfig{DriverOpts: types.Options{optionMTU: "70000"}}, `network front: driver_opts: com.docker.network.driver.mtu: "70000" is not a number from 68 to 65535`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := Define("shop", "front", "hash", tt.def)
			got := describe(n)
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// Who warns of options that nobody heeds knows those that somebody does.
func TestOptions(t *testing.T) {
	known := slices.Sorted(maps.Keys(checks))
	if want := slices.Sorted(slices.Values(project.NetworkOptions)); !slices.Equal(known, want) {
		t.Errorf("heeded: %v, known: %v", known, want)
	}
}

func newStore(t *testing.T) *Store {
	dir := t.TempDir()
	return OpenStore(layout.Root{State: filepath.Join(dir, "lib"), Run: filepath.Join(dir, "run")})
}

func TestStore(t *testing.T) {
	s := newStore(t)
	if all, err := s.List(); err != nil || len(all) != 0 {
		t.Fatalf("an empty store lists %v, %v", all, err)
	}
	if _, err := s.Get("shop_front"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("get: %v", err)
	}
	want, err := Define("shop", "front", "hash", types.NetworkConfig{Ipam: pools("10.9.0.0/16", "", "10.9.1.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Save(want); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get("shop_front")
	if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Fatalf("got  %+v, %v\nwant %+v", got, err, want)
	}
	for name, text := range map[string]string{
		"half": `{"name":"half","dri`, "other": `{"name":"shop_front","driver":"none"}`,
		"hostile": `{"name":"hostile","driver":"bridge","bridge":"../lo","pools":[]}`,
	} {
		if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.List()
	if len(all) != 1 || err == nil {
		t.Fatalf("with garbled records: %v, %v", all, err)
	}
	for _, name := range []string{"half.json", "other.json", "hostile.json"} {
		if !strings.Contains(err.Error(), "network record is garbled: "+s.root.Networks()+"/"+name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
	if err := os.WriteFile(s.path("shop_front"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Get("shop_front"); err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("from its copy: %+v, %v", got, err)
	}
	if got, err = readNetwork(s.path("shop_front"), "shop_front"); err != nil || got.ID != want.ID {
		t.Errorf("mended: %+v, %v", got, err)
	}
	if err := s.Delete("shop_front"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete("shop_front"); err != nil {
		t.Errorf("deleting again: %v", err)
	}
	if _, err := s.Get("../../etc/passwd"); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("a name that leads elsewhere: %v", err)
	}
}

// Many commands at once never choose the same subnet, and one network is made once.
func TestCreateTogether(t *testing.T) {
	s := newStore(t)
	var running sync.WaitGroup
	for i := range 20 {
		running.Go(func() {
			n, err := Define("shop", fmt.Sprintf("net%d", i/2), "hash", types.NetworkConfig{EnableIPv6: yes(true)})
			if err == nil {
				_, err = OpenStore(s.root).Create(context.Background(), n)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	all, err := s.List()
	if err != nil || len(all) != 10 {
		t.Fatalf("%d networks, %v", len(all), err)
	}
	for i, a := range all {
		if len(a.Pools) != 2 {
			t.Errorf("%s has pools %v", a.Name, a.Pools)
		}
		for _, b := range all[:i] {
			for k := range a.Pools {
				if a.Pools[k].Subnet.Overlaps(b.Pools[k].Subnet) {
					t.Errorf("%s and %s share %s", a.Name, b.Name, a.Pools[k].Subnet)
				}
			}
		}
	}
}

func TestAllot(t *testing.T) {
	others := []Network{{Name: "other", Bridge: "br0", Pools: []Pool{{Subnet: netip.MustParsePrefix("10.9.0.0/16")}}}}
	routes := prefixes("10.8.0.0/24 172.18.0.0/16")
	for _, tt := range []struct {
		name string
		def  types.NetworkConfig
		want string
	}{
		{"a chosen subnet is on no route", types.NetworkConfig{}, "172.19.0.0/20"},
		{"a given one is kept", types.NetworkConfig{Ipam: pools("10.7.0.0/16", "", "")}, "10.7.0.0/16"},
		{"one of another network is refused", types.NetworkConfig{Ipam: pools("10.9.1.0/24", "", "")}, "network shop_front: subnet 10.9.1.0/24 overlaps 10.9.0.0/16 of network other"},
		{"so is one that the host has a route for", types.NetworkConfig{Ipam: pools("10.8.0.0/16", "", "")}, "network shop_front: subnet 10.8.0.0/16 overlaps 10.8.0.0/24, which this host has a route for"},
		{"and another network's bridge", types.NetworkConfig{DriverOpts: types.Options{optionBridge: "br0"}}, "network shop_front: bridge br0 belongs to network other"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, err := Define("shop", "front", "hash", tt.def)
			if err == nil {
				n, err = allot(n, others, routes)
			}
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = n.Pools[0].Subnet.String()
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestResolvers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	text := "# nameserver 9.9.9.9\nnameserver 172.31.0.2\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nsearch x\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(resolvers(path)); got != "[172.31.0.2/32 fe80::1/128]" {
		t.Error(got)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"name":"a","driver":"bridge","bridge":"cb1","pools":[{"subnet":"10.0.0.0/24","gateway":"10.0.0.1"}]}`))
	f.Add([]byte(`{"name":"a","driver":"none"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decode(b)
		if err != nil {
			return
		}
		tries := 0
		_, _ = n.FreeAddress(func(netip.Addr) bool { tries++; return tries < 1000 })
	})
}

// What a killed command was writing goes; what one is writing stays.
func TestSweepOfHalfWrittenRecords(t *testing.T) {
	s := newStore(t)
	if err := s.Sweep(); err != nil {
		t.Fatalf("an empty store: %v", err)
	}
	if err := s.Save(Network{Name: "shop_front", Driver: DriverNone}); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(s.root.Networks(), unsaved+"1")
	if err := os.WriteFile(left, []byte(`{"name":`), 0o600); err != nil {
		t.Fatal(err)
	}
	writer, err := lock.Try(s.root.Lock("networks"), "write")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err != nil {
		t.Errorf("a record is being written, and its file is gone: %v", err)
	}
	writer.Release()
	if err := s.Sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a killed writer's file is still there: %v", err)
	}
	if _, err := s.Get("shop_front"); err != nil {
		t.Error(err)
	}
}
