package agent

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/netplan/dns"
	"github.com/compose-first/compose/project"
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

// wayOut gives, by full name, the networks that lead out of the machine.
func wayOut(networks []netplan.Network) map[string]bool {
	open := make(map[string]bool, len(networks))
	for _, n := range networks {
		open[n.Name] = !n.Internal
	}
	return open
}

// resolverClient is a container as its resolver sees it. host is the host's
// resolvers, asked where the container names none of its own. One that has no
// network which is open reaches no resolver but those on its networks: a
// question says as much to the outside as any other packet.
func resolverClient(c engine.Container, host []string, open map[string]bool) dns.Client {
	client := dns.Client{ContainerID: c.ID, Project: c.Record.Project, Upstream: c.Record.DNS.Servers}
	if len(client.Upstream) == 0 {
		client.Upstream = host
	}
	out := false
	for _, a := range c.Record.Networks {
		client.Networks = append(client.Networks, a.Network)
		out = out || open[a.Network]
	}
	if !out {
		client.Upstream = slices.DeleteFunc(slices.Clone(client.Upstream), func(server string) bool {
			return !onNetwork(c.Record.Networks, server)
		})
	}
	return client
}

// onNetwork reports whether an address is of a subnet that a container is in.
func onNetwork(networks []project.Attachment, server string) bool {
	at, err := netip.ParseAddr(server)
	return err == nil && slices.ContainsFunc(networks, func(a project.Attachment) bool {
		return a.Address.Masked().Contains(at) || a.Address6.Masked().Contains(at)
	})
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
