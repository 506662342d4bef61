package dns

import (
	"context"
	"encoding/binary"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// answering runs an upstream resolver that does what handle says.
func answering(t *testing.T, handle func(w dns.ResponseWriter, q *dns.Msg)) string {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: c, Handler: dns.HandlerFunc(handle)}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = c.Close() })
	return c.LocalAddr().String()
}

// Many askers of one name are one question upstream, each answered under its own id.
func TestSameQuestionOnce(t *testing.T) {
	const askers = 20
	var asked, waiting atomic.Int32
	release := make(chan struct{})
	up := answering(t, func(w dns.ResponseWriter, q *dns.Msg) {
		asked.Add(1)
		<-release
		m := new(dns.Msg).SetReply(q)
		m.Answer = append(m.Answer, address(q.Question[0].Name, 7))
		_ = w.WriteMsg(m)
	})
	f := newForwarder()
	var running sync.WaitGroup
	for i := range askers {
		running.Go(func() {
			q := new(dns.Msg).SetQuestion("one.example.", dns.TypeA)
			q.Id = uint16(i)
			raw, err := q.Pack()
			if err != nil {
				t.Error(err)
				return
			}
			b, err := f.ask(waiter{t.Context(), &waiting}, []string{up}, q, raw)
			if err != nil {
				t.Error(err)
				return
			}
			if id := binary.BigEndian.Uint16(b); id != uint16(i) {
				t.Errorf("question %d was answered as %d", i, id)
			}
		})
	}
	waitFor(t, "all to wait for the one that is upstream", func() bool { return asked.Load() > 0 && waiting.Load() >= askers })
	close(release)
	running.Wait()
	if n := asked.Load(); n > 2 { // a machine that is slow enough has it asked again
		t.Errorf("upstream was asked %d times", n)
	}
}

// waiter is a context that counts who waits for its end besides for something else.
type waiter struct {
	context.Context
	waiting *atomic.Int32
}

func (w waiter) Done() <-chan struct{} {
	w.waiting.Add(1)
	return w.Context.Done()
}

// A resolver in a container that asks us what we ask it: the circle ends, with
// an answer, and without a storm.
func TestForwardingLoop(t *testing.T) {
	var asked atomic.Int32
	var self atomic.Pointer[served]
	up := answering(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if asked.Add(1) > 100 {
			return
		}
		back := make(chan *dns.Msg, 1)
		_ = self.Load().inside(func() error {
			client := dns.Client{Timeout: 10 * time.Second}
			m, _, err := client.Exchange(new(dns.Msg).SetQuestion(q.Question[0].Name, dns.TypeA), "127.0.0.11:53")
			back <- m
			return err
		})
		if m := <-back; m != nil {
			m.Id = q.Id
			_ = w.WriteMsg(m)
		}
	})
	s := serve(t, up)
	self.Store(s)
	start := time.Now()
	if got := text(s.ask(t, "udp", "loop.example.", dns.TypeA)); got != "SERVFAIL" {
		t.Errorf("got %s", got)
	}
	if n := asked.Load(); n > 2 || time.Since(start) > allTimeout {
		t.Errorf("asked %d times in %s", n, time.Since(start))
	}
}

// The second resolver answers where the first does not, or will not.
func TestNextUpstream(t *testing.T) {
	refuses := answering(t, func(w dns.ResponseWriter, q *dns.Msg) { _ = w.WriteMsg(failure(q, dns.RcodeRefused)) })
	lies := answering(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Id++ // as one who forges answers guesses
		m.Answer = append(m.Answer, address(q.Question[0].Name, 66))
		_ = w.WriteMsg(m)
	})
	good := answering(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Answer = append(m.Answer, address(q.Question[0].Name, 7))
		_ = w.WriteMsg(m)
	})
	for name, upstream := range map[string][]string{
		"refuses": {refuses, good}, "is forged": {lies, good}, "is no address": {"resolver.example", good}, "is gone": {"127.0.0.1:1", good},
	} {
		q := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
		raw, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		b, err := newForwarder().ask(t.Context(), upstream, q, raw)
		m := new(dns.Msg)
		if err == nil {
			err = m.Unpack(b)
		}
		if err != nil || text(m) != "NOERROR 192.0.2.7" {
			t.Errorf("where the first %s: %s, %v", name, text(m), err)
		}
	}
}

// TCP clients that say nothing, or never finish, keep nobody else waiting for
// longer than it takes to let them go.
func TestSlowStreams(t *testing.T) {
	s := serve(t)
	var slow []net.Conn
	err := s.inside(func() error {
		for range maxConnections / 2 {
			c, err := net.Dial("tcp4", "127.0.0.11:53")
			if err != nil {
				return err
			}
			slow = append(slow, c)
			if _, err := c.Write([]byte{0}); err != nil { // half a length
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := text(s.ask(t, "tcp", "front.", dns.TypeA)); got != "NOERROR 10.1.0.2" {
		t.Error(got)
	}
	_ = slow[0].SetReadDeadline(time.Now().Add(streamMessage + 3*time.Second))
	if _, err := slow[0].Read(make([]byte, 1)); err == nil {
		t.Error("a slow client is answered")
	} else if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Errorf("a slow client is kept longer than %s", streamMessage)
	}
	for _, c := range slow {
		c.Close()
	}
}

// Questions one after the other, and at once, on one connection.
func TestManyOnOneStream(t *testing.T) {
	s := serve(t)
	err := s.inside(func() error {
		c, err := dns.Dial("tcp4", "127.0.0.11:53")
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		for i := range 10 {
			q := new(dns.Msg).SetQuestion("front.", dns.TypeA)
			q.Id = uint16(i)
			if err := c.WriteMsg(q); err != nil {
				return err
			}
		}
		seen := map[uint16]bool{}
		for range 10 {
			m, err := c.ReadMsg()
			if err != nil {
				return err
			}
			seen[m.Id] = true
		}
		if len(seen) != 10 {
			t.Errorf("answered: %v", seen)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A flood from one container takes from another's answers no more than a few,
// and its questions upstream are bounded.
func TestFlood(t *testing.T) {
	var upstreamNow, most atomic.Int32
	done := make(chan struct{})
	up := answering(t, func(w dns.ResponseWriter, q *dns.Msg) {
		n := upstreamNow.Add(1)
		for {
			old := most.Load()
			if n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		<-done
		upstreamNow.Add(-1)
	})
	flooder, victim := serve(t, up), serve(t)
	stop := make(chan struct{})
	flooding := make(chan error, 1)
	go func() {
		flooding <- flooder.inside(func() error {
			c, err := net.Dial("udp4", "127.0.0.11:53")
			if err != nil {
				return err
			}
			defer c.Close()
			questions := make([][]byte, 0, 512)
			for i := range cap(questions) {
				name := strings.Repeat("x", i%50+1) + ".flood" + strings.Repeat("y", i/50+1) + ".example."
				if i%2 == 0 {
					name = "web."
				}
				b, err := new(dns.Msg).SetQuestion(name, dns.TypeA).Pack()
				if err != nil {
					return err
				}
				questions = append(questions, b)
			}
			for i := 0; ; i++ {
				select {
				case <-stop:
					return nil
				default:
				}
				_, _ = c.Write(questions[i%len(questions)])
				if i%64 == 0 {
					runtime.Gosched()
				}
			}
		})
	}()
	waitFor(t, "the flood to reach upstream", func() bool { return most.Load() > 0 })
	const questions = 200
	answered := 0
	err := victim.inside(func() error {
		client := dns.Client{Timeout: time.Second}
		for range questions {
			if m, _, err := client.Exchange(new(dns.Msg).SetQuestion("front.", dns.TypeA), "127.0.0.11:53"); err == nil && len(m.Answer) == 1 {
				answered++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	close(stop)
	if err := <-flooding; err != nil {
		t.Error(err)
	}
	close(done)
	if answered < questions*9/10 {
		t.Errorf("of %d questions beside a flood, %d were answered", questions, answered)
	}
	if n := most.Load(); n > maxForwarded {
		t.Errorf("%d questions were upstream at once", n)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func BenchmarkAnswer(b *testing.B) {
	var zone atomic.Pointer[Zone]
	zone.Store(NewZone(shop))
	s := &serving{Server: NewServer(&zone, nil), client: Client{Networks: []string{"shop_front"}}, slots: make(chan struct{}, 1)}
	raw, err := new(dns.Msg).SetQuestion("web.", dns.TypeA).Pack()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.answer(context.Background(), raw, true, func([]byte) {})
	}
}
