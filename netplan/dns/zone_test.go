package dns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/compose-first/compose/project"
)

// shop is two replicas of web and a database, which web alone shares a network
// with; batch is a one-off, gone has stopped.
var shop = []Endpoint{
	{Container: strings.Repeat("a", 64), Name: "shop-web-1", Service: "web", Hostname: "front", Network: "shop_front", Addr: netip.MustParseAddr("10.1.0.2")},
	{Container: strings.Repeat("b", 64), Name: "shop-web-2", Service: "web", Network: "shop_front", Addr: netip.MustParseAddr("10.1.0.3"), Addr6: netip.MustParseAddr("fd00::3"), Aliases: []string{"site"}},
	{Container: strings.Repeat("a", 64), Name: "shop-web-1", Service: "web", Network: "shop_back", Addr: netip.MustParseAddr("10.2.0.2"),
		Links: []project.Link{{Service: "db", Alias: "store"}}},
	{Container: strings.Repeat("c", 64), Name: "shop-db-1", Service: "db", Network: "shop_back", Addr: netip.MustParseAddr("10.2.0.3")},
	{Container: strings.Repeat("d", 64), Name: "shop-web-run-1", Service: "web", OneOff: true, Network: "shop_front", Addr: netip.MustParseAddr("10.1.0.9")},
	{Container: strings.Repeat("e", 64), Name: "shop-gone-1", Service: "gone", Network: "shop_front"},
	{Container: strings.Repeat("f", 64), Name: "rival-thief-1", Project: "rival", Service: "thief", Network: "rival_default",
		Addr: netip.MustParseAddr("10.3.0.2"), Aliases: []string{"db", "api.example.com"}},
	{Container: strings.Repeat("f", 64), Name: "rival-thief-1", Project: "rival", Service: "thief", Network: "shop_back", Addr: netip.MustParseAddr("10.2.0.9")},
}

func TestLookup(t *testing.T) {
	z := NewZone(shop)
	web1 := Client{ContainerID: strings.Repeat("a", 64), Networks: []string{"shop_front", "shop_back"}}
	web2 := Client{ContainerID: strings.Repeat("b", 64), Networks: []string{"shop_front"}}
	for _, tt := range []struct {
		name   string
		client Client
		ask    string
		want   string
	}{
		{"a service is all its replicas, one-offs aside", web2, "web", "10.1.0.2 10.1.0.3"},
		{"case and a final dot do not matter", web2, "WEB.", "10.1.0.2 10.1.0.3"},
		{"a container name is one container", web2, "shop-web-2", "10.1.0.3"},
		{"so is a short id", web2, "aaaaaaaaaaaa", "10.1.0.2"},
		{"and a hostname", web2, "front", "10.1.0.2"},
		{"an alias", web2, "site", "10.1.0.3"},
		{"qualified by the network", web2, "web.shop_front", "10.1.0.2 10.1.0.3"},
		{"a one-off answers to its own name", web2, "shop-web-run-1", "10.1.0.9"},
		{"a name of a network that is not shared is nobody's", web2, "db", "not found"},
		{"also when qualified", web2, "db.shop_back", "not found"},
		{"shared by one of two networks", web1, "db", "10.2.0.3"},
		{"a link is seen by its container", web1, "store", "10.2.0.3"},
		{"and by no other", web2, "store", "unknown"},
		{"a stopped service is not found, and not asked for elsewhere", web2, "gone", "not found"},
		{"a name of another project on a network that is not shared is unknown", web2, "thief", "unknown"},
		{"so is one that another project gives itself", web2, "api.example.com", "unknown"},
		{"and takes nothing away", web1, "db", "10.2.0.3"},
		{"on a shared network another project's name is known", web1, "thief", "10.2.0.9"},
		{"anything else is unknown", web2, "example.org", "unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := show(z.lookup(tt.client, tt.ask)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	if _, six, _ := z.lookup(web2, "web"); !slices.Equal(six, []netip.Addr{netip.MustParseAddr("fd00::3")}) {
		t.Errorf("IPv6 of web: %s", six)
	}
}

// show is what a lookup came to, its IPv4 addresses in one line.
func show(four, six []netip.Addr, known bool) string {
	switch {
	case !known:
		return "unknown"
	case len(four)+len(six) == 0:
		return "not found"
	}
	var s []string
	for _, a := range four {
		s = append(s, a.String())
	}
	return strings.Join(s, " ")
}

func TestReverse(t *testing.T) {
	z := NewZone(shop)
	front := Client{Networks: []string{"shop_front"}}
	for _, tt := range []struct{ name, ask, want string }{
		{"a neighbour", "2.0.1.10.in-addr.arpa.", "shop-web-1.shop_front"},
		{"by IPv6", "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.", "shop-web-2.shop_front"},
		{"an address on a network that is not shared", "3.0.2.10.in-addr.arpa.", "(hidden)"},
		{"an address of nobody here", "1.0.0.127.in-addr.arpa.", "(unknown)"},
		{"nonsense", "x.in-addr.arpa.", "(not an address)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := "(not an address)"
			if addr, ok := reversed(tt.ask); ok {
				names, known := z.pointer(front, addr)
				switch {
				case len(names) > 0:
					got = strings.Join(names, " ")
				case known:
					got = "(hidden)"
				default:
					got = "(unknown)"
				}
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
