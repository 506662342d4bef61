package netplan

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/compose-first/compose/project"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/nftables"
)

// TestIsolation is the table of who may reach whom, with bridged packets shown
// to the rules and without, and next to an iptables that drops what it does not know.
func TestIsolation(t *testing.T) {
	for _, tt := range []struct {
		name         string
		bridgeFilter string
		foreign      string
	}{
		{"bridged packets go unseen", "0", ""},
		{"bridged packets pass the rules", "1", ""},
		{"a firewall drops what is forwarded", "1", "FORWARD"},
		{"Docker drops what is forwarded", "0", "DOCKER-USER"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bridgeFilter(t, tt.bridgeFilter)
			if tt.foreign != "" {
				foreignFirewall(t, tt.foreign)
			}
			isolation(t)
		})
	}
}

func isolation(t *testing.T) {
	h := newHost(t)
	front := newNetwork(t, h, "front", types.NetworkConfig{})
	back := newNetwork(t, h, "back", types.NetworkConfig{})
	vault := newNetwork(t, h, "vault", types.NetworkConfig{Internal: true})
	quiet := newNetwork(t, h, "quiet", types.NetworkConfig{DriverOpts: types.Options{optionICC: "false"}})
	host := place{name: "host"}
	world := outside(t, h)
	web := container(t, h, "web", 1, front)
	client := container(t, h, "client", 2, front)
	db := container(t, h, "db", 1, back)
	both := container(t, h, "both", 3, front, back)
	safe := container(t, h, "safe", 1, vault)
	safer := container(t, h, "safer", 2, vault)
	hush := container(t, h, "hush", 1, quiet)
	hushed := container(t, h, "hushed", 2, quiet)
	for _, p := range []place{web, client, db, both, safe, safer, hush, hushed, world} {
		serve(t, p, "0.0.0.0:80")
	}
	hostPort := freshPort()
	serve(t, host, fmt.Sprintf("0.0.0.0:%d", hostPort))
	loopPort := freshPort()
	serve(t, host, fmt.Sprintf("127.0.0.1:%d", loopPort))

	anywhere, loopbackOnly, outsideOnly, vaulted, second := freshPort(), freshPort(), freshPort(), freshPort(), freshPort()
	publish := func(service string, p place, hostIP string, port uint16, protocol string) Published {
		out := Published{
			Service:  "shop/" + service,
			Port:     project.Port{Published: port, Target: 80, Protocol: protocol},
			Backends: []netip.AddrPort{netip.AddrPortFrom(p.address(0), 80)},
		}
		if hostIP != "" {
			out.Port.HostIP = netip.MustParseAddr(hostIP)
		}
		return out
	}
	byOtherLeg := publish("both", both, "", second, "tcp")
	byOtherLeg.Backends = []netip.AddrPort{netip.AddrPortFrom(both.address(1), 80)} // its default route is by address(0)
	if err := h.Publish(t.Context(), []Published{
		byOtherLeg,
		publish("web", web, "", anywhere, "tcp"), publish("web", web, "", anywhere, "udp"),
		publish("web", web, "127.0.0.1", loopbackOnly, "tcp"), publish("web", web, "127.0.0.1", loopbackOnly, "udp"),
		publish("web", web, hostOutside.Addr().String(), outsideOnly, "tcp"),
		publish("safe", safe, "", vaulted, "tcp"),
	}); err != nil {
		t.Fatal(err)
	}

	at := func(a netip.Addr, port uint16) string { return netip.AddrPortFrom(a, port).String() }
	gateway := func(n Network) netip.Addr { return n.Pools[0].Gateway }
	local := netip.MustParseAddr("127.0.0.1")
	hostAddr := hostOutside.Addr()
	closed := []string{"refused", "silence"} // the kernel bounds how often it refuses
	refused := []string{"refused"}
	sees := func(server string, client netip.Addr) []string {
		return []string{fmt.Sprintf("%s sees %s", server, client)}
	}
	var rows []attempt
	for _, protocol := range []string{"tcp", "udp"} {
		add := func(what string, from place, to string, want []string) {
			rows = append(rows, attempt{protocol + " " + what, from, protocol, to, want})
		}
		add("neighbours on a network reach each other", client, at(web.address(0), 80), sees("web", client.address(0)))
		add("and on each of several networks", both, at(db.address(0), 80), sees("db", both.address(1)))
		add("the host reaches a container", host, at(db.address(0), 80), sees("db", gateway(back)))
		add("the host reaches an internal container", host, at(safe.address(0), 80), sees("safe", gateway(vault)))
		add("a container reaches the outside, as the host", web, at(neighbour.Addr(), 80), sees("neighbour", hostAddr))
		add("a container reaches the host by its own gateway", web, at(gateway(front), hostPort), sees("host", web.address(0)))
		add("internal containers reach each other", safe, at(safer.address(0), 80), sees("safer", safe.address(0)))

		add("another network's container", web, at(db.address(0), 80), closed)
		add("another network's container, with a leg there itself by the wrong leg", client, at(both.address(1), 80), closed)
		add("another bridge's gateway", web, at(gateway(back), hostPort), closed)
		add("a bridge's gateway, from outside", world, at(gateway(back), hostPort), closed)
		add("an internal network from another", web, at(safe.address(0), 80), closed)
		add("another network from an internal one", safe, at(web.address(0), 80), closed)
		add("an internal network's way out", safe, at(neighbour.Addr(), 80), closed)
		add("an internal network's way to the host", safe, at(gateway(vault), hostPort), closed)
		add("an internal network's way to a published port", safe, at(gateway(vault), anywhere), closed)
		add("a container's neighbour where they must not talk", hush, at(hushed.address(0), 80), closed)
		add("a container by address, from outside", world, at(web.address(0), 80), closed)
		add("an internal container by address, from outside", world, at(safe.address(0), 80), closed)
		add("a service of the host's loopback, from outside", world, at(local, loopPort), closed)

		add("published, from outside", world, at(hostAddr, anywhere), sees("web", neighbour.Addr()))
		add("published, from the host by 127.0.0.1", host, at(local, anywhere), sees("web", gateway(front)))
		add("published, from the host by its address", host, at(hostAddr, anywhere), sees("web", gateway(front)))
		add("published, from the host by a bridge's address", host, at(gateway(back), anywhere), sees("web", gateway(front)))
		add("published, from a container of the network", client, at(hostAddr, anywhere), sees("web", gateway(front)))
		add("published, from a container by its gateway", client, at(gateway(front), anywhere), sees("web", gateway(front)))
		add("published, from the container itself", web, at(hostAddr, anywhere), sees("web", gateway(front)))
		add("published, from another network", db, at(hostAddr, anywhere), sees("web", gateway(front)))
		add("published, from where neighbours must not talk", hush, at(hostAddr, anywhere), sees("web", gateway(front)))
		add("published on 127.0.0.1, from the host", host, at(local, loopbackOnly), sees("web", gateway(front)))
		add("published on 127.0.0.1, by another address", host, at(hostAddr, loopbackOnly), closed)
		add("published on 127.0.0.1, from outside by the host's address", world, at(hostAddr, loopbackOnly), closed)
		add("published on 127.0.0.1, from a container", client, at(hostAddr, loopbackOnly), closed)
	}
	rows = append(rows, []attempt{
		{"published on one address, from outside", world, "tcp", at(hostAddr, outsideOnly), sees("web", neighbour.Addr())},
		{"published by a network without the default route, from outside", world, "tcp", at(hostAddr, second), sees("both", neighbour.Addr())},
		{"published on one address, by another", host, "tcp", at(local, outsideOnly), refused},
		{"published from an internal network, from outside", world, "tcp", at(hostAddr, vaulted), refused},
		{"published from an internal network, from the host", host, "tcp", at(local, vaulted), refused},
	}...)
	t.Run("table", func(t *testing.T) { runAttempts(t, rows) })
	t.Run("loopback by the wire", func(t *testing.T) {
		loopbackByWire(t, world, at(local, loopbackOnly), at(local, loopPort))
	})
	t.Run("loopback by the bridge", func(t *testing.T) {
		loopbackByWire(t, client, at(local, loopbackOnly), at(local, loopPort))
	})
	t.Run("forged senders", func(t *testing.T) { forgedSenders(t, world, client, web, db, safe) })
}

// foreignFirewall makes what iptables makes, and Docker with it: a FORWARD
// chain that drops all.
func foreignFirewall(t *testing.T, kind string) {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	filter := c.AddTable(&nftables.Table{Name: "filter", Family: nftables.TableFamilyIPv4})
	policy := nftables.ChainPolicyDrop
	forward := c.AddChain(&nftables.Chain{
		Name: "FORWARD", Table: filter, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &policy,
	})
	chain := forward
	if kind == userChain {
		chain = c.AddChain(&nftables.Chain{Name: userChain, Table: filter})
		c.AddRule(&nftables.Rule{Table: filter, Chain: forward, Exprs: jump(userChain)})
	}
	c.AddRule(&nftables.Rule{Table: filter, Chain: chain, Exprs: rule(named(in, "someone0"), accept())})
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		rules, err := c.GetRules(filter, chain)
		if err != nil || len(rules) != 1 {
			t.Errorf("after clean-up %d rules are left in %s, want the other's 1 (%v)", len(rules), chain.Name, err)
		}
		c.DelTable(filter)
		if err := c.Flush(); err != nil {
			t.Error(err)
		}
	})
}
