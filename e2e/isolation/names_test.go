package isolation

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// resolver is where containers ask.
const resolver = "127.0.0.11:53"

// ask has a place ask its resolver, and returns the answer in short: the code
// and the addresses and names. It asks again when it hears nothing, as every client does.
func (p place) ask(network, name string, kind uint16) string {
	for range 3 {
		if said := p.askOnce(network, name, kind, 5*time.Second); said != nothing {
			return said
		}
	}
	return nothing
}

// nothing is what is said when no answer comes in time.
const nothing = "no answer"

// askOnce does so once, and waits no longer than limit.
func (p place) askOnce(network, name string, kind uint16, limit time.Duration) string {
	said := ""
	err := p.in(func() error {
		client := dns.Client{Net: network, Timeout: limit}
		m, _, err := client.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), kind), resolver)
		if err != nil {
			return err
		}
		said = dns.RcodeToString[m.Rcode]
		for _, r := range m.Answer {
			switch r := r.(type) {
			case *dns.A:
				said += " " + r.A.String()
			case *dns.PTR:
				said += " " + r.Ptr
			}
		}
		return nil
	})
	if err != nil {
		return nothing
	}
	return said
}

// answers is a resolver of the outside, which knows every name, and who has
// asked for which. What it does before it answers may be changed.
type answers struct {
	sync.Mutex // guards asked
	asked      map[string]int
	before     atomic.Pointer[func(name string)]
}

// everyName is what it answers.
const everyName = "192.0.2.77"

func (a *answers) times(name string) int {
	a.Lock()
	defer a.Unlock()
	return a.asked[dns.Fqdn(name)]
}

// answerEverything runs such a resolver in a place.
func answerEverything(t *testing.T, p place) *answers {
	t.Helper()
	a := &answers{asked: map[string]int{}}
	var c net.PacketConn
	if err := p.in(func() (err error) {
		c, err = net.ListenPacket("udp4", netip.AddrPortFrom(p.address, 53).String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: c, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		name := q.Question[0].Name
		a.Lock()
		a.asked[name]++
		a.Unlock()
		if before := a.before.Load(); before != nil {
			(*before)(name)
		}
		m := new(dns.Msg).SetReply(q)
		m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(everyName)})
		_ = w.WriteMsg(m)
	})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { c.Close() })
	return a
}

// TestNamesOfOthers asks for what is not there for the asker.
func TestNamesOfOthers(t *testing.T) {
	outside, _ := neighbour(t)
	upstream := answerEverything(t, outside)
	victim := open(t, "known", "compose.yaml", fmt.Sprintf(`
services:
  web: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, dns: %[1]s, networks: {default: {aliases: [shopfront]}}}
  mate: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, dns: %[1]s}
  safe: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, dns: %[1]s, networks: [vault]}
  safer: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, networks: [vault]}
networks: {vault: {internal: true}}
`, outside.address))
	rival := open(t, "unknown", "compose.yaml", fmt.Sprintf(`
services:
  thief: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, dns: %s, networks: {default: {aliases: [mate, api.example.com]}}}
`, outside.address))
	victim.must("up", "-d")
	rival.must("up", "-d")
	web, mate, safe, safer, thief := victim.place("web"), victim.place("mate"), victim.place("safe"), victim.place("safer"), rival.place("thief")
	reverse := func(p place) string {
		name, err := dns.ReverseAddr(p.address.String())
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	foreign := "NOERROR " + everyName // the outside's answer: nothing here knows the name
	for _, tt := range []struct {
		what string
		from place
		name string
		kind uint16
		want string
	}{
		{"a service of the network", mate, "web", dns.TypeA, "NOERROR " + web.address.String()},
		{"an alias of the network", mate, "shopfront", dns.TypeA, "NOERROR " + web.address.String()},
		{"who has an address of the network", mate, reverse(web), dns.TypePTR, "NOERROR known-web-1.known_default."},
		{"a name of the outside", web, "free.example", dns.TypeA, foreign},
		{"a name that another project has given itself", web, "api.example.com", dns.TypeA, foreign},
		{"a name that is another project's, too", web, "mate", dns.TypeA, "NOERROR " + mate.address.String()},
		{"an internal neighbour", safe, "safer", dns.TypeA, "NOERROR " + safer.address.String()},

		{"a service of another project", thief, "web", dns.TypeA, foreign},
		{"a container of another project", thief, "known-web-1", dns.TypeA, foreign},
		{"a short id of another project", thief, victim.id("web")[:12], dns.TypeA, foreign},
		{"a service by its network's name", thief, "web.known_default", dns.TypeA, foreign},
		{"an alias of another project", thief, "shopfront", dns.TypeA, foreign},
		{"who has an address of another project", thief, reverse(web), dns.TypePTR, "NXDOMAIN"},
		{"a service on another network of the project", web, "safe", dns.TypeA, "NXDOMAIN"},
		{"a service on an open network, from an internal one", safe, "web", dns.TypeA, "NXDOMAIN"},
		{"a name of the outside, from an internal network", safe, "secret.example", dns.TypeA, "SERVFAIL"},
		{"the same, where the host's resolvers are asked", safer, "secret.example", dns.TypeA, "SERVFAIL"},
	} {
		if got := tt.from.ask("udp", tt.name, tt.kind); got != tt.want {
			t.Errorf("%s: %s asks for %s: got %q, want %q", tt.what, tt.from.name, tt.name, got, tt.want)
		}
	}
	if n := upstream.times("secret.example"); n > 0 {
		t.Errorf("the outside heard from an internal network %d times", n)
	}
	if n := upstream.times("free.example"); n == 0 {
		t.Error("the outside has heard nothing: nothing was tried")
	}
}

// TestNamesUnderFire has a container do to its resolver what it can, while
// another asks for names and has to get them.
func TestNamesUnderFire(t *testing.T) {
	outside, _ := neighbour(t)
	upstream := answerEverything(t, outside)
	s := open(t, "fire", "compose.yaml", fmt.Sprintf(`
services:
  attacker: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, dns: %[1]s}
  web: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, dns: %[1]s}
`, outside.address))
	s.must("up", "-d")
	attacker, web := s.place("attacker"), s.place("web")
	want := "NOERROR " + web.address.String()
	unharmed := func(t *testing.T) {
		t.Helper()
		for _, p := range []place{attacker, web} {
			for _, network := range []string{"udp", "tcp"} {
				if got := p.ask(network, "web", dns.TypeA); got != want {
					t.Errorf("after it %s gets over %s %q, want %q", p.name, network, got, want)
				}
			}
		}
	}
	unharmed(t)

	good, err := new(dns.Msg).SetQuestion("web.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{
		"nothing":                       "",
		"half a header":                 string(good[:6]),
		"a header alone":                string(good[:12]),
		"a question cut short":          string(good[:15]),
		"an answer":                     string(good[:2]) + "\x80" + string(good[3:]),
		"a name that points at itself":  string(good[:12]) + "\xc0\x0c\x00\x01\x00\x01",
		"a name of 63-byte labels":      string(good[:12]) + strings.Repeat("\x3f"+strings.Repeat("x", 63), 60) + "\x00\x00\x01\x00\x01",
		"65,535 questions that are not": string(good[:4]) + "\xff\xff" + string(good[6:]),
		"65,535 records that are not":   string(good[:6]) + "\xff\xff\xff\xff\xff\xff" + string(good[12:]),
		"ones":                          strings.Repeat("\xff", 512),
		"pointers":                      strings.Repeat("\xc0\x0c", 2000),
		"a question with 60,000 bytes":  string(good) + strings.Repeat("x", 60000),
	}
	t.Run("malformed and oversized messages", func(t *testing.T) {
		for what, message := range bad {
			for _, network := range []string{"udp", "tcp"} {
				err := attacker.in(func() error {
					c, err := net.Dial(network, resolver)
					if err != nil {
						return err
					}
					defer c.Close()
					b := []byte(message)
					if network == "tcp" {
						b = append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
					}
					_, err = c.Write(b)
					return err
				})
				if err != nil && network == "udp" {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
		unharmed(t)
	})

	t.Run("slow clients of TCP", func(t *testing.T) {
		var slow []net.Conn
		defer func() {
			for _, c := range slow {
				c.Close()
			}
		}()
		err := attacker.in(func() error {
			for i := range 300 { // far more than a client is let have
				c, err := net.DialTimeout("tcp", resolver, time.Second)
				if err != nil {
					return nil // the queue of its own resolver is full: more do not fit
				}
				slow = append(slow, c)
				_, _ = c.Write([]byte{0, 30}[:1+i%2]) // half a length, or one and no question
			}
			return nil
		})
		if err != nil || len(slow) < 30 {
			t.Fatalf("%d connections, %v", len(slow), err)
		}
		for _, network := range []string{"udp", "tcp"} {
			if got := web.ask(network, "web", dns.TypeA); got != want {
				t.Errorf("beside them the other gets over %s %q", network, got)
			}
		}
		if got := attacker.ask("udp", "web", dns.TypeA); got != want {
			t.Errorf("their own container gets over UDP %q", got)
		}
		_ = slow[0].SetReadDeadline(time.Now().Add(patience))
		if _, err := slow[0].Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("a slow client is kept: %v", err)
		}
	})
	unharmed(t)

	t.Run("a loop of resolvers", func(t *testing.T) {
		again := func(name string) {
			if strings.HasPrefix(name, "loop.") {
				_ = attacker.askOnce("udp", name, dns.TypeA, patience)
			}
		}
		upstream.before.Store(&again)
		defer upstream.before.Store(nil)
		if got := attacker.askOnce("udp", "loop.example", dns.TypeA, patience); got != "SERVFAIL" {
			t.Errorf("it ends with %q", got)
		}
		if n := upstream.times("loop.example"); n == 0 || n > 3 {
			t.Errorf("it went round %d times", n)
		}
	})
	unharmed(t)

	t.Run("a flood", func(t *testing.T) {
		hold := make(chan struct{})
		wait := func(name string) {
			if strings.HasSuffix(name, ".flood.example.") {
				<-hold // so that what is asked upstream piles up
			}
		}
		upstream.before.Store(&wait)
		stop, ended := make(chan struct{}), make(chan int, 1)
		go func() {
			sent := 0
			_ = attacker.in(func() error {
				c, err := net.Dial("udp4", resolver)
				if err != nil {
					return err
				}
				defer c.Close()
				for {
					select {
					case <-stop:
						return nil
					default:
					}
					name := "web."
					if sent%2 == 0 {
						name = fmt.Sprintf("n%d.flood.example.", sent)
					}
					b, err := new(dns.Msg).SetQuestion(name, dns.TypeA).Pack()
					if err != nil {
						return err
					}
					_, _ = c.Write(b)
					sent++
				}
			})
			ended <- sent
		}()
		eventually(t, "the flood to be upstream", func() bool {
			upstream.Lock()
			defer upstream.Unlock()
			return len(upstream.asked) > 10
		})
		const questions = 300
		answered := 0
		for i := range questions {
			name, expect := "web", want
			if i%3 == 0 {
				name, expect = fmt.Sprintf("n%d.example", i), "NOERROR "+everyName
			}
			if web.askOnce("udp", name, dns.TypeA, time.Second) == expect {
				answered++
			}
		}
		close(stop)
		sent := <-ended
		close(hold)
		t.Logf("beside %d questions, %d of %d were answered", sent, answered, questions)
		if answered < questions*9/10 {
			t.Errorf("beside a flood of %d questions, %d of %d were answered", sent, answered, questions)
		}
		if sent < questions*10 {
			t.Errorf("%d questions are no flood", sent)
		}
	})
	unharmed(t)
}
