// Package dns answers the names of containers. A Zone is what all names mean;
// a Server answers each container from it, by the networks that container is
// on, and asks the upstream resolvers for everything else. Listen makes the
// sockets inside a container's network namespace.
//
// Open first: zone.go for which names there are, then server.go.
package dns

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/compose-first/compose/project"
)

// Endpoint is one container on one network.
type Endpoint struct {
	Container string // id, 64 hex digits
	Name      string // container name, "shop-web-1"
	Project   string
	Service   string
	Hostname  string
	Network   string         // full name, "shop_default"
	Key       string         // the network's key in the Compose file
	Addr      netip.Addr     // zero, as Addr6: the names are known, and have no address now
	Addr6     netip.Addr     // zero without IPv6
	Aliases   []string       // on this network
	OneOff    bool           // does not answer to Service
	Links     []project.Link // further names that this container alone sees
}

// shortID is the length of the id that is a container's default host name.
const shortID = 12

// Zone is what all names mean. It never changes: a new one takes its place.
type Zone struct {
	networks map[string]*network
	known    map[owned]bool               // every name of every project
	links    map[string][]link            // container id → what it alone sees
	reverse  map[netip.Addr][]reverseName // address → who has it
}

// network is the names of one network, in lower case and without a final dot.
type network struct {
	names map[string]*addresses
}

// addresses is what a name means: each once, in ascending order.
type addresses struct{ four, six []netip.Addr }

// link is a further name for a service.
type link struct{ alias, service string }

// owned is a name that a project has somewhere.
type owned struct{ project, name string }

type reverseName struct{ network, name string }

// NewZone builds the zone of endpoints. An endpoint without an address makes
// its names known: they are answered with "no such name" at once, where an
// unknown name is asked for upstream.
func NewZone(endpoints []Endpoint) *Zone {
	z := &Zone{
		networks: map[string]*network{},
		known:    map[owned]bool{},
		links:    map[string][]link{},
		reverse:  map[netip.Addr][]reverseName{},
	}
	for _, e := range endpoints {
		z.add(e)
	}
	for _, n := range z.networks {
		for _, a := range n.names {
			a.four, a.six = unique(a.four), unique(a.six)
		}
	}
	return z
}

func (z *Zone) add(e Endpoint) {
	n := z.networks[e.Network]
	if n == nil {
		n = &network{names: map[string]*addresses{}}
		z.networks[e.Network] = n
	}
	for _, name := range e.names() {
		z.known[owned{e.Project, name}] = true
		n.add(name, e)
		if e.Network != "" {
			z.known[owned{e.Project, name + "." + fold(e.Network)}] = true
			n.add(name+"."+fold(e.Network), e)
		}
	}
	for _, l := range e.Links {
		l := link{alias: fold(l.Alias), service: fold(l.Service)}
		if l.alias == "" {
			continue // the service's own name, which it has anyhow
		}
		if !slices.Contains(z.links[e.Container], l) {
			z.links[e.Container] = append(z.links[e.Container], l)
		}
	}
	for _, a := range []netip.Addr{e.Addr, e.Addr6} {
		if a.IsValid() {
			name := fold(e.Name) + "." + fold(e.Network)
			z.reverse[a.Unmap()] = append(z.reverse[a.Unmap()], reverseName{e.Network, name})
		}
	}
}

// names lists what a container is called on a network.
func (e Endpoint) names() []string {
	names := []string{e.Name, e.Hostname, e.Container}
	if len(e.Container) > shortID {
		names = append(names, e.Container[:shortID])
	}
	if !e.OneOff {
		names = append(names, e.Service)
	}
	names = append(names, e.Aliases...)
	for i := range names {
		names[i] = fold(names[i])
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

func (n *network) add(name string, e Endpoint) {
	a := n.names[name]
	if a == nil {
		a = &addresses{}
		n.names[name] = a
	}
	if e.Addr.IsValid() {
		a.four = append(a.four, e.Addr.Unmap())
	}
	if e.Addr6.IsValid() {
		a.six = append(a.six, e.Addr6)
	}
}

// lookup returns what a name means for a client. Known is true when it is one
// of the client's networks or of its project: then it is no other resolver's
// to answer. A known name without addresses does not exist, as far as this
// client goes. What other projects call theirs takes no name from it.
func (z *Zone) lookup(c Client, name string) (four, six []netip.Addr, known bool) {
	name = fold(name)
	known = z.known[owned{c.Project, name}]
	found := 0
	collect := func(name string) {
		for _, full := range c.Networks {
			n := z.networks[full]
			if n == nil {
				continue
			}
			a := n.names[name]
			known = known || a != nil
			if a != nil && len(a.four)+len(a.six) > 0 {
				four, six = append(four, a.four...), append(six, a.six...)
				found++
			}
		}
	}
	collect(name)
	for _, l := range z.links[c.ContainerID] {
		if l.alias == name {
			known = true
			collect(l.service)
		}
	}
	if found > 1 {
		four, six = unique(four), unique(six)
	}
	return four, six, known
}

// pointer returns the names of an address for a client. Known is true when it
// is a container's, whether this client may see it or not.
func (z *Zone) pointer(c Client, a netip.Addr) (names []string, known bool) {
	all := z.reverse[a]
	for _, r := range all {
		if slices.Contains(c.Networks, r.network) {
			names = append(names, r.name)
		}
	}
	return names, len(all) > 0
}

// fold is how names are compared.
// Source: RFC 4343: ASCII letters without regard to case.
func fold(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func unique(a []netip.Addr) []netip.Addr {
	slices.SortFunc(a, netip.Addr.Compare)
	return slices.Compact(a)
}
