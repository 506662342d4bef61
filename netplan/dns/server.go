package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Bounds of what one client may have of the server, so that a flood from one
// container leaves the others their answers.
const (
	maxForwarded   = 64               // questions upstream at once, for a client
	maxAllForward  = 1024             // the same, for all clients together
	maxConnections = 32               // TCP connections of a client
	maxStreamed    = 256              // questions on one TCP connection
	streamIdle     = 10 * time.Second // a TCP client that says nothing for so long is let go
	streamMessage  = 2 * time.Second  // from the first byte of a TCP question to its last
)

// maxUDP is the size of a UDP message that we say we take, and the largest that
// we send, in bytes.
// Source: DNS Flag Day 2020, and RFC 6891 for clients that ask for more.
const maxUDP = 1232

// maxQuestion bounds a question over UDP, in bytes: a longer one is malformed,
// since nothing that a client asks comes near.
const maxQuestion = 4096

// Client is the container that a server answers.
type Client struct {
	ContainerID string
	Project     string
	Networks    []string // full names: what it may see
	Upstream    []string // resolvers for everything else: "ip" or "ip:port"
}

// Server answers containers from a zone. One serves all containers of an agent.
type Server struct {
	zone    *atomic.Pointer[Zone]
	log     *slog.Logger
	forward *forwarder
}

// NewServer returns a server that answers from whatever zone holds at the time.
// Log may be nil.
func NewServer(zone *atomic.Pointer[Zone], log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{zone: zone, log: log, forward: newForwarder()}
}

// Serve answers one container on its two sockets until ctx ends, and then
// returns nil; or until a socket fails, and returns why. It takes the sockets
// over and closes both.
func (s *Server) Serve(ctx context.Context, udp net.PacketConn, tcp net.Listener, c Client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	one := &serving{Server: s, client: c, slots: make(chan struct{}, maxForwarded)}
	stop := context.AfterFunc(ctx, func() { udp.Close(); tcp.Close() })
	defer stop()
	errs := make(chan error, 2)
	go func() { errs <- one.datagrams(ctx, udp) }()
	go func() { errs <- one.streams(ctx, tcp) }()
	first := <-errs
	ended := ctx.Err() != nil
	cancel()
	udp.Close()
	tcp.Close()
	second := <-errs
	one.running.Wait()
	if ended {
		return nil
	}
	return fmt.Errorf("answer names of container %.12s: %w", c.ContainerID, errors.Join(first, second))
}

// serving is the server at work for one client.
type serving struct {
	*Server
	client  Client
	slots   chan struct{} // one for each question upstream
	turn    atomic.Uint32
	running sync.WaitGroup
}

func (s *serving) datagrams(ctx context.Context, c net.PacketConn) error {
	buf := make([]byte, maxQuestion+1)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) && temporary(err) {
				continue
			}
			return fmt.Errorf("read questions: %w", err)
		}
		if n > maxQuestion {
			continue
		}
		s.answer(ctx, buf[:n], true, func(b []byte) {
			if b != nil { // two servers would send each other empty answers for ever
				_, _ = c.WriteTo(b, from)
			}
		})
	}
}

// temporary reports whether reading may go on: an earlier answer could not be
// delivered, which the kernel says here.
func temporary(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF)
}

func (s *serving) streams(ctx context.Context, l net.Listener) error {
	slots := make(chan struct{}, maxConnections)
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("accept: %w", err)
			}
			select { // out of descriptors, or the client is gone already
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			c.Close()
			continue
		}
		s.running.Go(func() {
			defer func() { <-slots }()
			s.stream(ctx, c)
		})
	}
}

// stream answers the questions of one TCP connection, in whatever order the
// answers come.
func (s *serving) stream(ctx context.Context, c net.Conn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	var writing sync.Mutex
	var pending sync.WaitGroup
	defer pending.Wait()
	for range maxStreamed {
		q, err := readFramed(c)
		if err != nil {
			return
		}
		pending.Add(1)
		s.answer(ctx, q, false, func(b []byte) {
			defer pending.Done()
			if b == nil {
				return
			}
			writing.Lock()
			defer writing.Unlock()
			_ = c.SetWriteDeadline(time.Now().Add(streamMessage))
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
		})
	}
}

// readFramed reads a message with its length before it, as on TCP.
func readFramed(c net.Conn) ([]byte, error) {
	_ = c.SetReadDeadline(time.Now().Add(streamIdle))
	var size [2]byte
	if _, err := io.ReadFull(c, size[:1]); err != nil {
		return nil, err
	}
	_ = c.SetReadDeadline(time.Now().Add(streamMessage))
	if _, err := io.ReadFull(c, size[1:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(size[:])
	if n > maxQuestion {
		return nil, fmt.Errorf("question of %d bytes", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(c, b)
	return b, err
}

// answer answers one question: at once from the zone, or later from upstream.
// Send is called exactly once, with nil when there is no answer to give.
func (s *serving) answer(ctx context.Context, raw []byte, udp bool, send func([]byte)) {
	q, m := parse(raw)
	if q == nil {
		send(pack(m, nil, udp))
		return
	}
	if z := s.zone.Load(); z != nil {
		if m := z.local(s.client, q, s.turns(q)); m != nil {
			send(pack(m, q, udp))
			return
		}
	}
	select {
	case s.slots <- struct{}{}:
	default:
		send(pack(failure(q, dns.RcodeServerFailure), q, udp))
		return
	}
	raw = append([]byte(nil), raw...) // the reader goes on with its buffer
	s.running.Go(func() {
		defer func() { <-s.slots }()
		b, err := s.forward.ask(ctx, s.client.Upstream, q, raw)
		if err != nil {
			s.log.Debug("ask upstream", "container", s.client.ContainerID, "name", q.Question[0].Name, "error", err)
			send(pack(unanswered(q), q, udp))
			return
		}
		send(fit(b, q, udp))
	})
}

// turns is the number of the question, counted apart for each type: clients ask
// for A and AAAA in pairs, and a common count would give each the same turn for ever.
func (s *serving) turns(q *dns.Msg) uint32 {
	if q.Question[0].Qtype == dns.TypeAAAA {
		return s.turn.Load()
	}
	return s.turn.Add(1)
}

// unanswered is what a client is told when no resolver answers: a name without
// a dot is then one of a container that is not there, and asking again is no use.
func unanswered(q *dns.Msg) *dns.Msg {
	if dns.CountLabel(q.Question[0].Name) == 1 {
		return failure(q, dns.RcodeNameError)
	}
	return failure(q, dns.RcodeServerFailure)
}

// parse reads a question. Where it is none that can be answered, q is nil and m
// says so to the client; m is nil too when the client is to hear nothing.
func parse(raw []byte) (q, m *dns.Msg) {
	const header = 12
	if len(raw) < header || raw[2]&0x80 != 0 { // an answer is never answered: two servers would go on for ever
		return nil, nil
	}
	q = new(dns.Msg)
	if err := q.Unpack(raw); err != nil || len(q.Question) != 1 {
		bad := new(dns.Msg)
		bad.Id = binary.BigEndian.Uint16(raw)
		bad.Response, bad.Rcode = true, dns.RcodeFormatError
		return nil, bad
	}
	if q.Opcode != dns.OpcodeQuery {
		return nil, failure(q, dns.RcodeNotImplemented)
	}
	switch q.Question[0].Qtype {
	case dns.TypeAXFR, dns.TypeIXFR:
		return nil, failure(q, dns.RcodeRefused)
	}
	return q, nil
}

// pack writes a message, no longer than the client takes.
func pack(m, q *dns.Msg, udp bool) []byte {
	if m == nil {
		return nil
	}
	m.Compress = true
	m.Truncate(limit(q, udp))
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// fit returns an answer from upstream as it is, or cut to what the client takes.
func fit(b []byte, q *dns.Msg, udp bool) []byte {
	if len(b) <= limit(q, udp) {
		return b
	}
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		return pack(failure(q, dns.RcodeServerFailure), q, udp)
	}
	return pack(m, q, udp)
}

// limit is the most bytes that a client takes.
func limit(q *dns.Msg, udp bool) int {
	if !udp {
		return dns.MaxMsgSize - 1
	}
	if q != nil {
		if o := q.IsEdns0(); o != nil {
			return max(dns.MinMsgSize, int(o.UDPSize()))
		}
	}
	return dns.MinMsgSize
}
