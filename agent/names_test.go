package agent

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/project"
)

// TestWayOutOfNames shows which resolvers a container's questions reach.
func TestWayOutOfNames(t *testing.T) {
	open := wayOut([]netplan.Network{{Name: "front"}, {Name: "vault", Internal: true}, {Name: "safe", Internal: true}})
	for _, tt := range []struct{ name, networks, servers, want string }{
		{"the host's", "front", "", "192.0.2.1"},
		{"its own", "front", "198.51.100.1", "198.51.100.1"},
		{"with one way out", "vault front", "", "192.0.2.1"},
		{"none from an internal network", "vault", "", ""},
		{"none from several", "vault safe", "198.51.100.1 127.0.0.1 host.example", ""},
		{"one on the internal network itself", "vault safe", "198.51.100.1 10.0.1.9", "10.0.1.9"},
		{"none by a network that nobody knows of", "lost", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c engine.Container
			c.Record.DNS.Servers = strings.Fields(tt.servers)
			for i, n := range strings.Fields(tt.networks) {
				at := netip.AddrFrom4([4]byte{10, 0, byte(i), 2})
				c.Record.Networks = append(c.Record.Networks, project.Attachment{Network: n, Address: netip.PrefixFrom(at, 24)})
			}
			got := resolverClient(c, []string{"192.0.2.1"}, open)
			if !slices.Equal(got.Upstream, strings.Fields(tt.want)) || !slices.Equal(got.Networks, strings.Fields(tt.networks)) {
				t.Errorf("got %+v, want %s", got, tt.want)
			}
		})
	}
}
