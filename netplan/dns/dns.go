// Package dns answers the names of containers. A Zone is what all names mean;
// a Server answers each container from it, by the networks that container is
// on, and asks the upstream resolvers for everything else.
package dns

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/compose-first/compose/project"
)

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

// Zone is what all names mean. It never changes: a new one takes its place.
type Zone struct{}

// NewZone builds the zone of endpoints.
func NewZone(endpoints []Endpoint) *Zone { return &Zone{} }

// Client is the container that a server answers.
type Client struct {
	ContainerID string
	Networks    []string // full names: what it may see
	Upstream    []string // resolvers for everything else: "ip" or "ip:port"
}

// Server answers containers from a zone.
type Server struct{}

// NewServer returns a server that answers from whatever zone holds at the time.
func NewServer(zone *atomic.Pointer[Zone], log *slog.Logger) *Server { return &Server{} }

// Serve answers one container on its two sockets until ctx ends or one of them is closed; it closes both.
func (s *Server) Serve(ctx context.Context, udp net.PacketConn, tcp net.Listener, c Client) error {
	return errors.New("in progress")
}

// Listen returns sockets in the network namespace at netnsPath, and leads its 127.0.0.11:53 to them.
func Listen(netnsPath string) (net.PacketConn, net.Listener, error) {
	return nil, nil, errors.New("in progress")
}
