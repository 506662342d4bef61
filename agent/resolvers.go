package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/netplan/dns"
)

// awaited is how long names are served for a container that is said to start
// soon, and does not.
const awaited = 2 * time.Minute

// resolvConf is where the host names its resolvers.
const resolvConf = "/etc/resolv.conf"

// names is the part that has names answered: one zone for all, and in each
// container's network namespace a resolver.
type names struct {
	agent  *agent
	zone   atomic.Pointer[dns.Zone]
	server *dns.Server

	mu        sync.Mutex
	ctx       context.Context // that all of it ends with; nil before begin and after run
	resolvers map[string]*resolver
	awaited   map[string]time.Time // containers about to start, and until when that is believed
}

// resolver answers one container.
type resolver struct {
	netns  uint64 // inode of the namespace that it listens in
	client dns.Client
	cancel context.CancelFunc
	ended  chan struct{}
}

func newNames(a *agent) *names {
	n := &names{agent: a, resolvers: map[string]*resolver{}, awaited: map[string]time.Time{}}
	n.zone.Store(dns.NewZone(nil))
	n.server = dns.NewServer(&n.zone, a.Log)
	return n
}

// begin lets the part work until ctx ends; run has to be called then.
func (n *names) begin(ctx context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ctx = ctx
}

// run lets resolvers live until ctx ends.
func (n *names) run(ctx context.Context) error {
	<-ctx.Done()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ctx = nil
	for id := range n.resolvers {
		n.drop(id)
	}
	return ctx.Err()
}

// apply makes the zone anew, and gives every container that is up its resolver.
func (n *names) apply(containers []engine.Container) error {
	networks, err := n.agent.networks.List()
	if err != nil {
		err = fmt.Errorf("networks: %w", err)
	}
	n.zone.Store(dns.NewZone(endpoints(containers, networkKeys(networks))))

	n.mu.Lock()
	defer n.mu.Unlock()
	host, open := hostResolvers(), wayOut(networks)
	errs := []error{err}
	wanted := map[string]bool{}
	for _, c := range containers {
		if !hasResolver(c) {
			continue
		}
		if !up(c) && (!time.Now().Before(n.awaited[c.ID])) {
			continue
		}
		wanted[c.ID] = true
		if up(c) {
			delete(n.awaited, c.ID)
		}
		errs = append(errs, n.ensure(c, host, open))
	}
	for id := range n.resolvers {
		if !wanted[id] && !time.Now().Before(n.awaited[id]) {
			n.drop(id)
			delete(n.awaited, id)
		}
	}
	return errors.Join(errs...)
}

// ready gives a container that is about to start its resolver.
func (n *names) ready(c engine.Container) error {
	if !hasResolver(c) {
		return nil
	}
	var networks []netplan.Network
	for _, a := range c.Record.Networks {
		if network, err := n.agent.networks.Get(a.Network); err == nil { // a way out that nobody can vouch for is none
			networks = append(networks, network)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.awaited[c.ID] = time.Now().Add(awaited)
	return n.ensure(c, hostResolvers(), wayOut(networks))
}

// ensure makes sure of a container's resolver. n.mu is held.
func (n *names) ensure(c engine.Container, host []string, open map[string]bool) error {
	path := n.agent.Root.Netns(c.ID)
	netns, err := inode(path)
	if err != nil {
		return fmt.Errorf("names of %s: %w", c.Name, err)
	}
	client := resolverClient(c, host, open)
	if r := n.resolvers[c.ID]; r != nil {
		if r.netns == netns && r.alive() && sameClient(r.client, client) {
			return nil
		}
		n.drop(c.ID)
	}
	if n.ctx == nil {
		return errors.New("names: not running")
	}
	udp, tcp, err := dns.Listen(path)
	if err != nil {
		return fmt.Errorf("names of %s: %w", c.Name, err)
	}
	ctx, cancel := context.WithCancel(n.ctx)
	r := &resolver{netns: netns, client: client, cancel: cancel, ended: make(chan struct{})}
	n.resolvers[c.ID] = r
	go n.serve(ctx, r, udp, tcp)
	return nil
}

// serve answers a container until its resolver is dropped.
func (n *names) serve(ctx context.Context, r *resolver, udp net.PacketConn, tcp net.Listener) {
	defer close(r.ended)
	if err := n.server.Serve(ctx, udp, tcp, r.client); err != nil && ctx.Err() == nil {
		n.agent.Log.Error("serve names", "container", r.client.ContainerID, "error", err)
		n.agent.cache.poke(r.client.ContainerID)
	}
}

// drop ends a container's resolver. n.mu is held.
func (n *names) drop(id string) {
	r := n.resolvers[id]
	delete(n.resolvers, id)
	r.cancel()
	<-r.ended
}

func (r *resolver) alive() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

func sameClient(a, b dns.Client) bool {
	return slices.Equal(a.Networks, b.Networks) && slices.Equal(a.Upstream, b.Upstream)
}

// hostResolvers is those that the host uses now.
func hostResolvers() []string {
	b, err := os.ReadFile(resolvConf)
	if err != nil {
		return nil
	}
	return nameservers(string(b))
}

// inode identifies a network namespace.
func inode(path string) (uint64, error) {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return 0, fmt.Errorf("look at network namespace: %w", err)
	}
	return s.Ino, nil
}
