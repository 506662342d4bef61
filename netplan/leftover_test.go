package netplan

import (
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/vishvananda/netlink"
)

// ownersOf says which networks and containers there are, and that no other
// engine is alive but those of the tags.
func ownersOf(containers []place, tags []string, networks ...Network) func() (Owners, error) {
	o := Owners{Networks: networks, Containers: map[string]bool{}, Engine: func(tag string) bool { return slices.Contains(tags, tag) }}
	for _, c := range containers {
		o.Containers[c.name] = true
	}
	return func() (Owners, error) { return o, nil }
}

func leftovers(t *testing.T, h *Host, owners func() (Owners, error)) []Leftover {
	t.Helper()
	left, err := h.Leftovers(owners)
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func kinds(left []Leftover) string {
	var all []string
	for _, l := range left {
		all = append(all, l.Kind+" "+l.Name)
	}
	return strings.Join(all, "\n")
}

func removeAll(t *testing.T, left []Leftover) {
	t.Helper()
	for _, l := range left {
		for range 2 { // that it is gone already is no error
			if err := l.Remove(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

// What a network has that lost its record goes; its neighbour keeps all it has.
func TestLeftoversOfANetwork(t *testing.T) {
	foreignFirewall(t, "FORWARD")
	h := newHost(t)
	kept := newNetwork(t, h, "kept", types.NetworkConfig{})
	lost := newNetwork(t, h, "lost", types.NetworkConfig{})
	shut := newNetwork(t, h, "shut", types.NetworkConfig{Internal: true})
	web := container(t, h, "web", 1, kept)
	stray := container(t, h, "stray", 2, kept)

	if left := leftovers(t, h, ownersOf([]place{web, stray}, nil, kept, lost, shut)); len(left) != 0 {
		t.Fatalf("everything is owned, and yet left over:\n%s", kinds(left))
	}
	before := ruleset(t, h)
	owners := ownersOf([]place{web}, nil, kept)
	left := leftovers(t, h, owners)
	want := []string{
		"bridge " + lost.Bridge, "bridge " + shut.Bridge,
		"interface " + hostEnd(stray.path, 0),
		"nftables rule for bridge " + lost.Bridge + " in chain FORWARD of table filter",
		"nftables elements of bridge " + lost.Bridge, "nftables elements of bridge " + shut.Bridge,
	}
	for _, w := range want {
		if !strings.Contains(kinds(left), w) {
			t.Errorf("not found: %s", w)
		}
	}
	if strings.Contains(kinds(left), kept.Bridge) || strings.Contains(kinds(left), hostEnd(web.path, 0)) {
		t.Errorf("what is in use is left over:\n%s", kinds(left))
	}
	removeAll(t, left)
	if left := leftovers(t, h, owners); len(left) != 0 {
		t.Errorf("after removing all there is still:\n%s", kinds(left))
	}
	after := ruleset(t, h)
	for _, gone := range []string{lost.Bridge, shut.Bridge, lost.Pools[0].Subnet.String(), shut.Pools[0].Subnet.String()} {
		if !strings.Contains(before, gone) || strings.Contains(after, gone) {
			t.Errorf("%s is still in the rules, or never was:\n%s", gone, after)
		}
	}
	for _, stays := range []string{kept.Bridge, kept.Pools[0].Subnet.String(), kept.Pools[0].Gateway.String()} {
		if !strings.Contains(after, stays) {
			t.Errorf("%s is no longer in the rules:\n%s", stays, after)
		}
	}
	port := freshPort()
	at := netip.AddrPortFrom(kept.Pools[0].Gateway, port).String()
	serve(t, place{name: "host"}, at)
	if got, want := try(web, "tcp", at), "host sees "+web.address(0).String(); got != want {
		t.Errorf("the neighbour's container asks its gateway: got %q, want %q", got, want)
	}
}

// ruleset is the engine's table as nft prints it.
func ruleset(t *testing.T, h *Host) string {
	t.Helper()
	out, err := exec.Command("nft", "list", "table", "inet", h.tag).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// An engine that is gone leaves nothing that counts; one that may be alive, and
// a bridge that something hangs on, are not touched.
func TestLeftoversOfEngines(t *testing.T) {
	h, alive, dead, used := newHost(t), newHost(t), newHost(t), newHost(t)
	for _, other := range []*Host{alive, dead, used} {
		newNetwork(t, other, "default", types.NetworkConfig{})
	}
	theirs, err := used.store.Get("shop_default")
	if err != nil {
		t.Fatal(err)
	}
	container(t, used, "web", 1, theirs)
	owners := ownersOf(nil, []string{alive.own()})
	left := leftovers(t, h, owners)
	gone, err := dead.store.Get("shop_default")
	if err != nil {
		t.Fatal(err)
	}
	want := "bridge " + gone.Bridge + "\nnftables table " + dead.tag
	if got := kinds(slices.DeleteFunc(slices.Clone(left), func(l Leftover) bool { return strings.Contains(l.Name, used.tag) })); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	removeAll(t, left[:1])
	if _, err := netlink.LinkByName(gone.Bridge); !isMissing(err) {
		t.Errorf("the bridge is still there: %v", err)
	}
	if _, err := netlink.LinkByName(theirs.Bridge); err != nil {
		t.Error(err)
	}
}

// Firewalls of others are seen, and whether they let our bridges through.
func TestBarriers(t *testing.T) {
	h := newHost(t)
	n := newNetwork(t, h, "default", types.NetworkConfig{})
	barrier := func() string {
		all, err := h.Barriers([]Network{n})
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, b := range all {
			lines = append(lines, b.String()+" closed to "+strings.Join(b.Closed, " "))
		}
		return strings.Join(lines, "\n")
	}
	if got := barrier(); got != "" {
		t.Errorf("without a firewall: %s", got)
	}
	nft(t, "add table inet fw; add chain inet fw passing { type filter hook forward priority 0; policy drop; }")
	t.Cleanup(func() { nft(t, "delete table inet fw") })
	if got, want := barrier(), "chain passing of table inet fw closed to "+n.Bridge; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	nft(t, `add rule inet fw passing iifname "cb*" accept`)
	if got, want := barrier(), "chain passing of table inet fw closed to "+n.Bridge; got != want {
		t.Errorf("half open: got %q, want %q", got, want)
	}
	nft(t, `add rule inet fw passing oifname "cb*" counter accept`)
	if got, want := barrier(), "chain passing of table inet fw closed to "; got != want {
		t.Errorf("open: got %q, want %q", got, want)
	}
	nft(t, "add table ip late; add chain ip late passing { type filter hook forward priority 5; policy accept; }; add rule ip late passing tcp dport 1 drop")
	t.Cleanup(func() { nft(t, "delete table ip late") })
	if got := barrier(); strings.Contains(got, "late") {
		t.Errorf("a rule with a condition is no barrier: %s", got)
	}
	nft(t, "add rule ip late passing counter reject")
	if got, want := barrier(), "chain passing of table ip late closed to "+n.Bridge; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The chain of iptables has our own rules in it.
func TestBarrierOfIptables(t *testing.T) {
	foreignFirewall(t, userChain)
	h := newHost(t)
	n := newNetwork(t, h, "default", types.NetworkConfig{})
	all, err := h.Barriers([]Network{n})
	if err != nil || len(all) != 1 || !all[0].Ours || len(all[0].Closed) != 0 {
		t.Errorf("got %+v, %v", all, err)
	}
}

func nft(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.Command("nft", script).CombinedOutput(); err != nil {
		t.Fatalf("nft %s: %v\n%s", script, err, out)
	}
}

// A route that has come since is found, whichever way it is in the way.
func TestClashes(t *testing.T) {
	h := newHost(t)
	n := newNetwork(t, h, "default", types.NetworkConfig{})
	clashes := func() []Clash {
		all, err := Clashes([]Network{n})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if all := clashes(); len(all) != 0 {
		t.Fatalf("on its own it clashes with %v", all)
	}
	vpn := &netlink.Bridge{LinkAttrs: attributes("vpn0")}
	if err := netlink.LinkAdd(vpn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(vpn) })
	if err := netlink.LinkSetUp(vpn); err != nil {
		t.Fatal(err)
	}
	subnet := n.Pools[0].Subnet
	for _, tt := range []struct {
		route netip.Prefix
		wider bool
	}{
		{netip.PrefixFrom(subnet.Addr(), subnet.Bits()+4), false},
		{netip.PrefixFrom(subnet.Addr(), 8).Masked(), true},
	} {
		r := &netlink.Route{LinkIndex: vpn.Index, Dst: ipNet(tt.route), Scope: netlink.SCOPE_LINK}
		if err := netlink.RouteAdd(r); err != nil {
			t.Fatal(err)
		}
		all := clashes()
		if len(all) != 1 || all[0].Interface != "vpn0" || all[0].Route != tt.route || all[0].Wider() != tt.wider {
			t.Errorf("route %s: got %+v", tt.route, all)
		}
		if err := netlink.RouteDel(r); err != nil {
			t.Fatal(err)
		}
	}
}

// The kernel that runs the other tests has all that networks need.
func TestProbe(t *testing.T) {
	all := Probe()
	if len(all) != 4 {
		t.Errorf("got %d trials", len(all))
	}
	for _, trial := range all {
		if trial.Err != nil {
			t.Errorf("%s: %v", trial.Feature, trial.Err)
		}
	}
	if links, err := netlink.LinkList(); err != nil || slices.ContainsFunc(links, func(l netlink.Link) bool { return strings.HasPrefix(l.Attrs().Name, "probe") }) {
		t.Errorf("the trial left something: %v", err)
	}
}
