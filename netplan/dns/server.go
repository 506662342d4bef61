package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Bounds of what one container can have of the resolver.
const (
	maxForwards    = 64              // questions under way to upstream resolvers
	maxConnections = 32              // TCP connections at a time
	idleTimeout    = 8 * time.Second // of a TCP connection; Source: RFC 7766, 6.2.3, "a few seconds"
	maxUDP         = 1232            // bytes of a datagram; Source: DNS Flag Day 2020
	minUDP         = 512             // bytes, without EDNS; Source: RFC 1035, 2.3.4
)

// Server answers containers from a zone. Each container's Serve is bounded by
// itself, so that a flood from one costs the others nothing but processor time.
type Server struct {
	zone *atomic.Pointer[Zone]
	log  *slog.Logger
}

// NewServer returns a server that answers from whatever zone holds at the time.
func NewServer(zone *atomic.Pointer[Zone], log *slog.Logger) *Server {
	return &Server{zone: zone, log: log}
}

// session is one container being served.
type session struct {
	*Server
	client   Client
	forwards chan struct{} // one token a question under way upstream
}

// Serve answers one container on its two sockets until ctx ends or one of them
// is closed; it closes both, and returns once every answer is out.
func (s *Server) Serve(ctx context.Context, udp net.PacketConn, tcp net.Listener, c Client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		udp.Close()
		tcp.Close()
	})
	defer stop()
	one := &session{Server: s, client: c, forwards: make(chan struct{}, maxForwards)}
	var group sync.WaitGroup
	errs := make(chan error, 2)
	group.Go(func() {
		errs <- one.serveUDP(ctx, udp, &group)
		cancel()
	})
	group.Go(func() {
		errs <- one.serveTCP(ctx, tcp, &group)
		cancel()
	})
	group.Wait()
	return errors.Join(unlessClosed(<-errs), unlessClosed(<-errs))
}

func unlessClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// serveUDP answers from the zone in the reading goroutine itself: that is
// faster than handing over, and bounds what a flood can start.
func (s *session) serveUDP(ctx context.Context, conn net.PacketConn, group *sync.WaitGroup) error {
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		request := new(dns.Msg)
		if err := request.Unpack(buf[:n]); err != nil {
			s.sendMalformed(conn, from, buf[:n])
			continue
		}
		send := func(reply *dns.Msg) {
			reply.Truncate(udpSize(request))
			if out, err := reply.Pack(); err == nil {
				_, _ = conn.WriteTo(out, from) // who no longer listens asks again
			}
		}
		if reply := s.local(request); reply != nil {
			send(reply)
			continue
		}
		select {
		case s.forwards <- struct{}{}:
			group.Go(func() {
				defer func() { <-s.forwards }()
				send(forward(ctx, s.client, request, "udp"))
			})
		default:
			send(failure(request, dns.RcodeRefused))
		}
	}
}

// udpSize is how long a datagram the asker can take.
func udpSize(request *dns.Msg) int {
	if opt := request.IsEdns0(); opt != nil {
		return min(max(int(opt.UDPSize()), minUDP), maxUDP)
	}
	return minUDP
}

// sendMalformed tells the sender of a message that cannot be read, if it has
// an id at all and is not itself a reply.
func (s *session) sendMalformed(conn net.PacketConn, to net.Addr, message []byte) {
	const headerLength, responseBit = 12, 0x80
	if len(message) < headerLength || message[2]&responseBit != 0 {
		return
	}
	reply := &dns.Msg{MsgHdr: dns.MsgHdr{Id: binary.BigEndian.Uint16(message), Response: true, Rcode: dns.RcodeFormatError}}
	if out, err := reply.Pack(); err == nil {
		_, _ = conn.WriteTo(out, to) // nothing more can be done for it
	}
}

// local answers what needs nobody else: the zone's names, and questions that
// are none.
func (s *session) local(request *dns.Msg) *dns.Msg {
	switch {
	case request.Response:
		return failure(request, dns.RcodeFormatError)
	case request.Opcode != dns.OpcodeQuery:
		return failure(request, dns.RcodeNotImplemented)
	case len(request.Question) != 1:
		return failure(request, dns.RcodeFormatError)
	}
	return fromZone(s.zone.Load(), s.client, request)
}

// serveTCP takes no more than maxConnections; further ones wait in the
// kernel's queue.
func (s *session) serveTCP(ctx context.Context, listener net.Listener, group *sync.WaitGroup) error {
	slots := make(chan struct{}, maxConnections)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		group.Go(func() {
			defer func() { <-slots }()
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			defer conn.Close()
			if err := s.serveConnection(ctx, conn); err != nil && s.log != nil {
				s.log.Debug("dns connection ended", "container", s.client.ContainerID, "error", err)
			}
		})
	}
}

// serveConnection answers one question after the other.
func (s *session) serveConnection(ctx context.Context, conn net.Conn) error {
	c := &dns.Conn{Conn: conn}
	for {
		if err := conn.SetDeadline(time.Now().Add(idleTimeout)); err != nil {
			return err
		}
		request, err := c.ReadMsg()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		reply := s.local(request)
		if reply == nil {
			reply = forward(ctx, s.client, request, "tcp")
		}
		if err := conn.SetDeadline(time.Now().Add(idleTimeout)); err != nil {
			return err
		}
		if err := c.WriteMsg(reply); err != nil {
			return err
		}
	}
}
