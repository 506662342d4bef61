package dns

import (
	"net/netip"
	"strings"
)

// shortID is how many digits of a container's id are a name of it.
const shortID = 12

// Zone is what all names mean. It never changes: a new one takes its place.
type Zone struct {
	names  map[key][]addresses     // by network and name
	known  map[string]bool         // names of any network, with or without an address
	owners map[ownerKey]string     // "NAME.NETWORK" by network and address
	taken  map[netip.Addr]bool     // addresses of any network
	links  map[string][]linkTarget // by container that sees them and name
}

// key is a name, lower case and without the final dot, on a network.
type key struct{ network, name string }

type ownerKey struct {
	network string
	addr    netip.Addr
}

// addresses are those of one container on one network.
type addresses struct{ v4, v6 netip.Addr }

// linkTarget is a service on a network, under a further name.
type linkTarget struct{ alias, network, service string }

// NewZone builds the zone of endpoints.
func NewZone(endpoints []Endpoint) *Zone {
	z := &Zone{
		names:  make(map[key][]addresses, 6*len(endpoints)),
		known:  make(map[string]bool, 6*len(endpoints)),
		owners: make(map[ownerKey]string, len(endpoints)),
		taken:  make(map[netip.Addr]bool, len(endpoints)),
		links:  map[string][]linkTarget{},
	}
	for _, e := range endpoints {
		z.add(e)
	}
	return z
}

func (z *Zone) add(e Endpoint) {
	a := addresses{e.Addr, e.Addr6}
	seen := map[string]bool{}
	for _, name := range namesOf(e) {
		for _, n := range []string{name, name + "." + e.Network} {
			n = canonical(n)
			if seen[n] {
				continue
			}
			seen[n] = true
			z.known[n] = true
			if a.v4.IsValid() || a.v6.IsValid() {
				k := key{e.Network, n}
				z.names[k] = append(z.names[k], a)
			}
		}
	}
	for _, addr := range []netip.Addr{e.Addr, e.Addr6} {
		if addr.IsValid() {
			z.owners[ownerKey{e.Network, addr}] = e.Name + "." + e.Network
			z.taken[addr] = true
		}
	}
	for _, l := range e.Links {
		z.links[e.Container] = append(z.links[e.Container], linkTarget{canonical(l.Alias), e.Network, canonical(l.Service)})
	}
}

// namesOf are the names that a container answers to on a network.
func namesOf(e Endpoint) []string {
	names := append([]string{e.Name, e.Hostname}, e.Aliases...)
	if len(e.Container) >= shortID {
		names = append(names, e.Container[:shortID])
	}
	if !e.OneOff {
		names = append(names, e.Service)
	}
	valid := names[:0]
	for _, n := range names {
		if n != "" {
			valid = append(valid, n)
		}
	}
	return valid
}

// canonical is a name as the zone keeps it.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// answer is what the zone says to a question.
type answer struct {
	// Known says that the name is the zone's to answer, also with nothing.
	Known bool
	Found bool // some container that the client may see has the name
	Addrs []netip.Addr
}

// lookup answers a client that asks for the addresses of a name, of IPv6 or of
// IPv4.
func (z *Zone) lookup(c Client, name string, v6 bool) answer {
	name = canonical(name)
	a := answer{Known: z.known[name]}
	take := func(k key) {
		for _, found := range z.names[k] {
			a.Found = true
			addr := found.v4
			if v6 {
				addr = found.v6
			}
			if addr.IsValid() {
				a.Addrs = append(a.Addrs, addr)
			}
		}
	}
	for _, network := range c.Networks {
		take(key{network, name})
	}
	for _, l := range z.links[c.ContainerID] {
		if l.alias == name {
			a.Known = true
			take(key{l.network, l.service})
		}
	}
	return a
}

// reverse is the name of an address, for a client that shares a network with
// it. Known says that the address is a container's, shared or not.
func (z *Zone) reverse(c Client, addr netip.Addr) (name string, known bool) {
	for _, network := range c.Networks {
		if name, ok := z.owners[ownerKey{network, addr}]; ok {
			return name, true
		}
	}
	return "", z.taken[addr]
}
