// Package dns answers the names of containers. A Zone is what all names mean;
// a Server answers each container from it, by the networks that container is
// on, and asks the upstream resolvers for everything else.
//
// Each container has sockets of its own, in its own network namespace, where
// it finds them at 127.0.0.11:53: who asks is known by where it asks. Read
// zone.go (what names mean), then server.go (who is answered, within which
// bounds) and forward.go (everything else).
package dns

import (
	"net/netip"

	"github.com/compose-first/compose/project"
)

// Address is where containers find the resolver.
// Source: Docker, user-defined networks, embedded DNS server; images and
// their configurations (nginx' resolver directive) name it.
var Address = netip.MustParseAddr("127.0.0.11")

// ttl is how long an answer may be kept, in seconds: not at all, so that the
// lookup after a restart gives the new address.
const ttl = 0

// Endpoint is one container on one network.
type Endpoint struct {
	Container string // id, 64 hex digits
	Name      string // container name, "shop-web-1"
	Project   string
	Service   string
	Hostname  string
	Network   string     // full name, "shop_default"
	Key       string     // the network's key in the Compose file
	Addr      netip.Addr // zero: the names are known, and have no address now
	Addr6     netip.Addr
	Aliases   []string       // on this network
	OneOff    bool           // does not answer to Service
	Links     []project.Link // further names that this container alone sees
}

// Client is the container that a server answers.
type Client struct {
	ContainerID string
	Networks    []string // full names: what it may see
	Upstream    []string // resolvers for everything else: "ip" or "ip:port"
}
