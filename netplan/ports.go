package netplan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Ports holds the sockets that go with published ports; it lives in the agent.
// For IPv4, where nftables does the work, it only keeps the port from others.
// For IPv6 it is the way itself: what comes in is passed on to the backends.
type Ports struct {
	mu   sync.Mutex
	held map[socketKey]*socket
}

// socketKey is what a socket is bound to.
type socketKey struct {
	protocol string
	at       netip.AddrPort
}

func (k socketKey) String() string { return k.at.String() + "/" + k.protocol }

// socket is one of Ports: either a descriptor that is merely kept, or a proxy.
type socket struct {
	fd       int // -1 for a proxy
	backends atomic.Pointer[[]netip.AddrPort]
	stop     func()
}

// NewPorts returns a Ports that holds nothing.
func NewPorts() *Ports { return &Ports{held: map[socketKey]*socket{}} }

// Sync opens and closes sockets until they are those of desired, which is all
// of them; those that stay keep their connections, and new ones go to the new
// backends. A port that cannot be had is named in the error; the others are served.
func (p *Ports) Sync(ctx context.Context, desired []Published) error {
	want := wantedSockets(desired)
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, s := range p.held {
		if _, ok := want[k]; !ok {
			s.stop()
			delete(p.held, k)
		}
	}
	var errs []error
	for _, k := range slices.SortedFunc(maps.Keys(want), func(a, b socketKey) int { return strings.Compare(a.String(), b.String()) }) {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		backends := want[k]
		s := p.held[k]
		if s == nil {
			var err error
			if s, err = openSocket(k); err != nil {
				errs = append(errs, fmt.Errorf("hold port %s: %w", k, err))
				continue
			}
			if s == nil {
				continue // this host has no IPv6
			}
			p.held[k] = s
		}
		s.backends.Store(&backends)
	}
	return errors.Join(errs...)
}

// Close gives all sockets back and ends their connections.
func (p *Ports) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, s := range p.held {
		s.stop()
		delete(p.held, k)
	}
	return nil
}

// wantedSockets lists the sockets of published ports, and where those of IPv6 lead.
func wantedSockets(desired []Published) map[socketKey][]netip.AddrPort {
	want := map[socketKey][]netip.AddrPort{}
	for _, d := range desired {
		protocol := cmp.Or(d.Port.Protocol, "tcp")
		if d.Port.Published == 0 || protocol != "tcp" && protocol != "udp" {
			continue
		}
		addresses := []netip.Addr{d.Port.HostIP.Unmap()}
		if !d.Port.HostIP.IsValid() {
			addresses = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
		}
		for _, a := range addresses {
			k := socketKey{protocol, netip.AddrPortFrom(a, d.Port.Published)}
			want[k] = append(want[k], d.Backends...)
		}
	}
	return want
}

// openSocket opens what a key needs: nil, without an error, for IPv6 on a host
// that has none.
func openSocket(k socketKey) (*socket, error) {
	fd, err := bindPort(k.protocol, k.at, k.at.Addr().Is6())
	if k.at.Addr() == netip.IPv6Unspecified() && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if k.at.Addr().Is4() {
		return keep(k, fd)
	}
	s := &socket{fd: -1}
	if err := s.proxy(k, fd); err != nil {
		return nil, err
	}
	return s, nil
}

// keep makes a socket that nobody can be connected to, and that nobody else
// can have: one of TCP does not listen, so what reaches it is refused.
func keep(k socketKey, fd int) (*socket, error) {
	var err error
	if k.protocol == "tcp" {
		// From here on, whoever else wants to listen is told that it is taken.
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0)
	} else {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &socket{fd: fd, stop: func() { unix.Close(fd) }}, nil
}

// next returns the backends, beginning with another one each time.
func (s *socket) next(turn *atomic.Uint32) []netip.AddrPort {
	p := s.backends.Load()
	if p == nil || len(*p) == 0 {
		return nil
	}
	i := int(turn.Add(1)-1) % len(*p)
	return append(slices.Clone((*p)[i:]), (*p)[:i]...)
}

// errNoBackend ends a connection to a service that has no replica.
var errNoBackend = errors.New("no backend")

func closeAll(closers ...interface{ Close() error }) {
	for _, c := range closers {
		_ = c.Close()
	}
}
