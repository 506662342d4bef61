package engine

import (
	"net/netip"
	"testing"

	"github.com/compose-first/compose/project"
)

func TestResolvConf(t *testing.T) {
	onNetwork := []project.Attachment{{Network: "shop_default"}}
	for _, tt := range []struct {
		name, host string
		record     project.Record
		want       string
	}{
		{"on a network names are answered inside", "nameserver 9.9.9.9\nsearch example.org\n",
			project.Record{Networks: onNetwork}, "nameserver 127.0.0.11\nsearch example.org\noptions ndots:0\n"},
		{"own search and options", "search example.org\n",
			project.Record{Networks: onNetwork, DNS: project.DNS{Search: []string{"a.b"}, Options: []string{"ndots:3"}}},
			"nameserver 127.0.0.11\nsearch a.b\noptions ndots:3\n"},
		{"a dot takes the search away", "search example.org\n",
			project.Record{Networks: onNetwork, DNS: project.DNS{Search: []string{"."}}}, "nameserver 127.0.0.11\noptions ndots:0\n"},
		{"the host's servers", "nameserver 9.9.9.9\noptions timeout:1\n", project.Record{NetworkMode: "host"}, "nameserver 9.9.9.9\noptions timeout:1\n"},
		{"the host's loopback is reached with its network only", "nameserver 127.0.0.1\n", project.Record{NetworkMode: "host"}, "nameserver 127.0.0.1\n"},
		{"else public ones are asked", "nameserver 127.0.0.1\n", project.Record{NetworkMode: "none"}, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"},
		{"the service's servers", "nameserver 9.9.9.9\n", project.Record{NetworkMode: "none", DNS: project.DNS{Servers: []string{"1.2.3.4"}}}, "nameserver 1.2.3.4\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := resolvConf(tt.record, func() (resolver, error) { return parseResolvConf(tt.host), nil })
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestHosts(t *testing.T) {
	const usual = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n" +
		"ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
	networks := []project.Attachment{
		{Address: netip.MustParsePrefix("10.1.0.5/16")},
		{Address: netip.MustParsePrefix("10.2.0.7/24"), Address6: netip.MustParsePrefix("fd00::7/64"), Gateway: true},
	}
	extra := []project.HostEntry{{Name: "db", Address: "1.2.3.4"}, {Name: "host", Address: "host-gateway"}}
	for _, tt := range []struct {
		name string
		cfg  CreateConfig
		want string
	}{
		{"without a network", CreateConfig{}, "127.0.1.1\tweb\n"},
		{"each address, and the gateway of the default route",
			CreateConfig{Record: project.Record{Networks: networks, ExtraHosts: extra, Domainname: "lan"}},
			"1.2.3.4\tdb\n10.2.0.1\thost\n10.1.0.5\tweb.lan web\n10.2.0.7\tweb.lan web\nfd00::7\tweb.lan web\n"},
		{"a gateway that is given", CreateConfig{HostGateway: "10.9.9.9", Record: project.Record{Networks: networks[:1], ExtraHosts: extra[1:]}},
			"10.9.9.9\thost\n10.1.0.5\tweb\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := hostsContent(tt.cfg, "web"); got != usual+tt.want {
				t.Errorf("got %q, want %q", got, usual+tt.want)
			}
		})
	}
}

func TestTooOld(t *testing.T) {
	for version, want := range map[string]bool{
		"1.6.33": true, "0.9": true, "1.7.0": false, "1.7.24~ds1": false, "2.4.2": false, "10.0": false, "unknown": false, "": false,
	} {
		if got := tooOld(version); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
}
