package netplan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the IPv6 proxy, for each port.
const (
	maxConnections = 4096             // TCP connections at once
	maxSessions    = 1024             // UDP senders at once
	dialTimeout    = 3 * time.Second  // to one backend, before the next is tried
	sessionIdle    = 90 * time.Second // a UDP sender is forgotten after that
	maxDatagram    = 64 << 10         // bytes
)

// proxy serves a bound descriptor, which it takes over, until s.stop.
func (s *socket) proxy(k socketKey, fd int) error {
	f := os.NewFile(uintptr(fd), k.String())
	defer f.Close() // what is served is a duplicate
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	if k.protocol == "tcp" {
		l, err := net.FileListener(f)
		if err != nil {
			cancel()
			return fmt.Errorf("serve: %w", err)
		}
		running.Go(func() { s.serveTCP(ctx, l) })
		s.stop = func() { cancel(); closeAll(l); running.Wait() }
		return nil
	}
	c, err := net.FilePacketConn(f)
	if err != nil {
		cancel()
		return fmt.Errorf("serve: %w", err)
	}
	running.Go(func() { s.serveUDP(ctx, c.(*net.UDPConn)) })
	s.stop = func() { cancel(); closeAll(c); running.Wait() }
	return nil
}

func (s *socket) serveTCP(ctx context.Context, l net.Listener) {
	var turn atomic.Uint32
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, maxConnections)
	for {
		client, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, or gone before it was accepted
			select {
			case <-ctx.Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			closeAll(client)
			continue
		}
		running.Go(func() {
			defer func() { <-slots }()
			s.pass(ctx, client.(*net.TCPConn), &turn)
		})
	}
}

// pass connects a client with a backend until both have said all, or ctx ends.
func (s *socket) pass(ctx context.Context, client *net.TCPConn, turn *atomic.Uint32) {
	defer client.Close()
	backend, err := s.dial(ctx, "tcp", turn)
	if err != nil {
		_ = client.SetLinger(0) // refused, as without a proxy
		return
	}
	defer backend.Close()
	stop := context.AfterFunc(ctx, func() { closeAll(client, backend) })
	defer stop()
	server := backend.(*net.TCPConn)
	var running sync.WaitGroup
	running.Go(func() { oneWay(server, client) })
	oneWay(client, server)
	running.Wait()
}

// oneWay copies until from has said all, and says so to to. When it cannot, the
// connection is cut for both.
func oneWay(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		closeAll(to, from)
		return
	}
	_ = to.CloseWrite()
}

// dial tries each backend once, beginning with another one each time.
func (s *socket) dial(ctx context.Context, network string, turn *atomic.Uint32) (net.Conn, error) {
	err := errNoBackend
	for _, b := range s.next(turn) {
		d := net.Dialer{Timeout: dialTimeout}
		c, dialErr := d.DialContext(ctx, network, b.String())
		if dialErr == nil {
			return c, nil
		}
		err = dialErr
	}
	return nil, err
}

// session is the way of one UDP sender.
type session struct {
	backend net.Conn
	to      netip.AddrPort
	used    atomic.Int64 // unix nanoseconds
}

func (s *socket) serveUDP(ctx context.Context, c *net.UDPConn) {
	var turn atomic.Uint32
	var mu sync.Mutex // guards sessions
	sessions := map[netip.AddrPort]*session{}
	var running sync.WaitGroup
	defer running.Wait()
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		for _, one := range sessions {
			one.backend.Close()
		}
	})
	defer stop()
	buf := make([]byte, maxDatagram)
	for {
		n, sender, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return
		}
		if err != nil {
			continue // an earlier answer could not be delivered
		}
		mu.Lock()
		one := sessions[sender]
		count := len(sessions)
		mu.Unlock()
		if one != nil && !s.leadsTo(one.to) {
			one.backend.Close() // its replica is gone: the sender gets another
			one = nil
		}
		if one == nil {
			if count >= maxSessions {
				continue
			}
			backend, err := s.dial(ctx, "udp", &turn)
			if err != nil {
				continue
			}
			one = &session{backend: backend}
			one.to, _ = netip.ParseAddrPort(backend.RemoteAddr().String())
			mu.Lock()
			sessions[sender] = one
			mu.Unlock()
			running.Go(func() {
				one.answer(c, sender)
				mu.Lock()
				defer mu.Unlock()
				if sessions[sender] == one {
					delete(sessions, sender)
				}
			})
			if ctx.Err() != nil {
				backend.Close()
			}
		}
		one.used.Store(time.Now().UnixNano())
		_, _ = one.backend.Write(buf[:n])
	}
}

// leadsTo reports whether a backend is still one of the service's.
func (s *socket) leadsTo(b netip.AddrPort) bool {
	p := s.backends.Load()
	if p == nil {
		return false
	}
	for _, one := range *p {
		if one == b {
			return true
		}
	}
	return false
}

// answer passes what the backend says on to the sender, until both are silent.
func (one *session) answer(c *net.UDPConn, sender netip.AddrPort) {
	defer one.backend.Close()
	buf := make([]byte, maxDatagram)
	for {
		idle := time.Until(time.Unix(0, one.used.Load()).Add(sessionIdle))
		_ = one.backend.SetReadDeadline(time.Now().Add(max(idle, time.Second)))
		n, err := one.backend.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) && time.Since(time.Unix(0, one.used.Load())) < sessionIdle {
			continue
		}
		if err != nil {
			return
		}
		one.used.Store(time.Now().UnixNano())
		if _, err := c.WriteToUDPAddrPort(buf[:n], sender); err != nil {
			return
		}
	}
}
