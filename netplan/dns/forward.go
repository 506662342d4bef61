package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// How long upstream resolvers are waited for.
const (
	tryTimeout = 2 * time.Second // one resolver, before the next
	allTimeout = 6 * time.Second // all of them: less than the usual two tries of 5 s of a client
)

// errNoUpstream means that there is no resolver to ask.
var errNoUpstream = errors.New("no upstream resolver")

// errBusy means that too many questions are upstream already.
var errBusy = errors.New("too many questions at once")

// forwarder asks upstream resolvers. The same question is under way once only,
// for however many ask it: that spares the resolvers, and it ends the loop of a
// resolver that asks us what we ask it.
type forwarder struct {
	slots chan struct{}

	mu  sync.Mutex // guards way
	way map[string]*underWay
}

// underWay is a question that somebody has asked upstream.
type underWay struct {
	done   chan struct{}
	answer []byte
	err    error
}

func newForwarder() *forwarder {
	return &forwarder{slots: make(chan struct{}, maxAllForward), way: map[string]*underWay{}}
}

// ask returns the answer to a question, under the question's own id. The raw
// message goes upstream as the client wrote it, options and all.
func (f *forwarder) ask(ctx context.Context, upstream []string, q *dns.Msg, raw []byte) ([]byte, error) {
	if len(upstream) == 0 {
		return nil, errNoUpstream
	}
	key := strings.Join(upstream, " ") + "\x00" + string(raw[2:]) // all but the id
	f.mu.Lock()
	w, ok := f.way[key]
	if !ok {
		w = &underWay{done: make(chan struct{})}
		f.way[key] = w
	}
	f.mu.Unlock()
	if !ok {
		go f.fetch(context.WithoutCancel(ctx), key, w, upstream, q, append([]byte(nil), raw...))
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if w.err != nil {
		return nil, w.err
	}
	b := append([]byte(nil), w.answer...)
	binary.BigEndian.PutUint16(b, q.Id)
	return b, nil
}

// fetch asks upstream for all who wait for w. Whoever asked first may go: the
// answer is for the others all the same.
func (f *forwarder) fetch(ctx context.Context, key string, w *underWay, upstream []string, q *dns.Msg, raw []byte) {
	ctx, cancel := context.WithTimeout(ctx, allTimeout)
	defer cancel()
	w.answer, w.err = f.first(ctx, upstream, q, raw)
	f.mu.Lock()
	delete(f.way, key)
	f.mu.Unlock()
	close(w.done)
}

// first returns the first usable answer of the resolvers, in their order.
func (f *forwarder) first(ctx context.Context, upstream []string, q *dns.Msg, raw []byte) ([]byte, error) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	default:
		return nil, errBusy
	}
	var refused []byte
	var errs []error
	for _, u := range upstream {
		at, err := resolverAddress(u)
		if err == nil {
			var b []byte
			b, err = exchange(ctx, at, q, raw)
			if err == nil && !gaveUp(b) {
				return b, nil
			}
			if err == nil {
				refused = b
				continue
			}
		}
		errs = append(errs, fmt.Errorf("ask %s: %w", u, err))
		if ctx.Err() != nil {
			break
		}
	}
	if refused != nil {
		return refused, nil
	}
	return nil, errors.Join(errs...)
}

// gaveUp reports whether a resolver says that it cannot answer, so that another
// one is worth asking.
func gaveUp(b []byte) bool {
	code := int(b[3] & 0x0f)
	return code == dns.RcodeServerFailure || code == dns.RcodeRefused || code == dns.RcodeNotImplemented
}

// exchange asks one resolver over UDP, and over TCP when the answer does not fit.
func exchange(ctx context.Context, at string, q *dns.Msg, raw []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	raw = append([]byte(nil), raw...)
	binary.BigEndian.PutUint16(raw, uint16(rand.Uint32())) // not to be guessed from the client's
	b, err := exchangeOver(ctx, "udp", at, q, raw)
	if err != nil || b[2]&0x02 == 0 { // not truncated
		return b, err
	}
	if whole, err := exchangeOver(ctx, "tcp", at, q, raw); err == nil {
		return whole, nil
	}
	return b, nil // truncated, and marked so: better than nothing
}

func exchangeOver(ctx context.Context, network, at string, q *dns.Msg, raw []byte) ([]byte, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, at)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	if network == "tcp" {
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(raw))), raw...)); err != nil {
			return nil, err
		}
		return readAnswer(q, raw, func() ([]byte, error) {
			conn := &dns.Conn{Conn: c}
			buf := make([]byte, dns.MaxMsgSize)
			n, err := conn.Read(buf)
			return buf[:max(n, 0)], err
		})
	}
	if _, err := c.Write(raw); err != nil {
		return nil, err
	}
	buf := make([]byte, 8192)
	return readAnswer(q, raw, func() ([]byte, error) {
		n, err := c.Read(buf)
		return buf[:max(n, 0)], err
	})
}

// readAnswer reads until a message comes that answers the question: others are
// strays, or forged.
func readAnswer(q *dns.Msg, raw []byte, read func() ([]byte, error)) ([]byte, error) {
	for {
		b, err := read()
		if err != nil {
			return nil, err
		}
		if answers(b, q, raw) {
			return b, nil
		}
	}
}

// answers reports whether b is an answer to q as it was sent in raw.
func answers(b []byte, q *dns.Msg, raw []byte) bool {
	const header = 12
	if len(b) < header || b[0] != raw[0] || b[1] != raw[1] || b[2]&0x80 == 0 {
		return false
	}
	if binary.BigEndian.Uint16(b[4:]) == 0 {
		return b[3]&0x0f != dns.RcodeSuccess // some resolvers leave the question out of a refusal
	}
	name, off, err := dns.UnpackDomainName(b, header)
	if err != nil || len(b) < off+4 {
		return false
	}
	want := q.Question[0]
	return strings.EqualFold(name, want.Name) &&
		binary.BigEndian.Uint16(b[off:]) == want.Qtype && binary.BigEndian.Uint16(b[off+2:]) == want.Qclass
}

// resolverAddress turns "ip" or "ip:port" into the latter.
func resolverAddress(u string) (string, error) {
	if a, err := netip.ParseAddr(u); err == nil {
		return netip.AddrPortFrom(a, 53).String(), nil
	}
	if a, err := netip.ParseAddrPort(u); err == nil {
		return a.String(), nil
	}
	return "", fmt.Errorf("%q is not an address", u)
}
