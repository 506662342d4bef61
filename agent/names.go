package agent

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/netplan/dns"
)

// endpoints is what the names of running containers mean. keys gives, by full
// name, a network's key in its Compose file.
func endpoints(containers []engine.Container, keys map[string]string) []dns.Endpoint {
	var all []dns.Endpoint
	for _, c := range containers {
		if !up(c) {
			continue
		}
		for _, a := range c.Record.Networks {
			all = append(all, dns.Endpoint{
				Container: c.ID,
				Name:      c.Name,
				Project:   c.Record.Project,
				Service:   c.Record.Service,
				Hostname:  c.Record.Hostname,
				Network:   a.Network,
				Key:       keys[a.Network],
				Addr:      address(a.Address),
				Addr6:     address(a.Address6),
				Aliases:   a.Aliases,
				OneOff:    c.Record.OneOff,
				Links:     c.Record.Links,
			})
		}
	}
	return all
}

func address(p netip.Prefix) netip.Addr {
	if !p.IsValid() {
		return netip.Addr{}
	}
	return p.Addr()
}

// networkKeys gives the keys of networks by their full names.
func networkKeys(networks []netplan.Network) map[string]string {
	keys := make(map[string]string, len(networks))
	for _, n := range networks {
		keys[n.Name] = n.Key
	}
	return keys
}

// hasResolver reports whether a container asks the agent for names: one in
// another's or the host's network namespace does not, nor one without networks.
func hasResolver(c engine.Container) bool {
	return c.Record.NetworkMode == "" && len(c.Record.Networks) > 0
}

// resolverClient is a container as its resolver sees it. host is the host's
// resolvers, asked where the container names none of its own.
func resolverClient(c engine.Container, host []string) dns.Client {
	client := dns.Client{ContainerID: c.ID, Upstream: c.Record.DNS.Servers}
	if len(client.Upstream) == 0 {
		client.Upstream = host
	}
	for _, a := range c.Record.Networks {
		client.Networks = append(client.Networks, a.Network)
	}
	return client
}

// nameservers reads the resolvers of a resolv.conf file.
// Source: resolv.conf(5).
func nameservers(resolvConf string) []string {
	var all []string
	for line := range strings.Lines(resolvConf) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == "nameserver" && !slices.Contains(all, fields[1]) {
			all = append(all, fields[1])
		}
	}
	return all
}
