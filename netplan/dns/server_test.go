package dns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// served is a Server in a network namespace of its own.
type served struct {
	netns string
	zone  atomic.Pointer[Zone]
}

// serve starts a server for a container on shop_front.
func serve(t *testing.T, upstream ...string) *served {
	t.Helper()
	s := &served{netns: newNetns(t)}
	s.zone.Store(NewZone(shop))
	s.listen(t, upstream...)
	return s
}

func (s *served) listen(t *testing.T, upstream ...string) {
	t.Helper()
	udp, tcp, err := Listen(s.netns)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- NewServer(&s.zone, nil).Serve(ctx, udp, tcp, Client{Networks: []string{"shop_front"}, Upstream: upstream})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// newNetns makes a network namespace with its loopback interface up, bound at
// a path that goes with the test.
func newNetns(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "net")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	made := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- err
			return
		}
		if err := loopbackUp(); err != nil {
			made <- err
			return
		}
		made <- unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	return path
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// ask sends a question to 127.0.0.11:53 in the namespace.
func (s *served) ask(t *testing.T, network, name string, qtype uint16) *dns.Msg {
	t.Helper()
	var reply *dns.Msg
	err := s.inside(func() (err error) {
		client := dns.Client{Net: network, Timeout: 5 * time.Second}
		reply, _, err = client.Exchange(new(dns.Msg).SetQuestion(name, qtype), "127.0.0.11:53")
		return err
	})
	if err != nil {
		t.Fatalf("ask for %s over %s: %v", name, network, err)
	}
	return reply
}

// inside runs do in the namespace, on a thread of its own.
func (s *served) inside(do func() error) error {
	fd, err := unix.Open(s.netns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	done := make(chan error)
	go func() { done <- inside(fd, do) }()
	return <-done
}

// text is a reply in one line: its code and its answers.
func text(m *dns.Msg) string {
	s := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		s = append(s, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return strings.Join(s, " ")
}

func TestAnswersInsideTheNamespace(t *testing.T) {
	s := serve(t)
	for _, network := range []string{"udp", "tcp"} {
		for _, tt := range []struct {
			ask  string
			kind uint16
			want string
		}{
			{"shop-web-1.", dns.TypeA, "NOERROR 10.1.0.2"},
			{"site.", dns.TypeAAAA, "NOERROR fd00::3"},
			{"front.", dns.TypeAAAA, "NOERROR"},
			{"web.", dns.TypeMX, "NOERROR"},
			{"db.", dns.TypeA, "NXDOMAIN"},
			{"nosuchname.", dns.TypeA, "NXDOMAIN"},
			{"nosuch.example.", dns.TypeA, "SERVFAIL"}, // there is no upstream
			{"2.0.1.10.in-addr.arpa.", dns.TypePTR, "NOERROR shop-web-1.shop_front."},
		} {
			if got := text(s.ask(t, network, tt.ask, tt.kind)); got != tt.want {
				t.Errorf("%s %s: got %s, want %s", network, tt.ask, got, tt.want)
			}
		}
	}
}

// Replicas take turns in being first.
func TestRoundRobin(t *testing.T) {
	s := serve(t)
	first := map[string]bool{}
	for range 64 {
		first[s.ask(t, "udp", "web.", dns.TypeA).Answer[0].String()] = true
	}
	if len(first) != 2 {
		t.Errorf("of two replicas, these were first: %v", first)
	}
}

// A container binds port 53 itself, and another resolver takes over without
// the names ever leading to the old one.
func TestPortStaysFreeAndResolverIsReplaced(t *testing.T) {
	s := serve(t)
	err := s.inside(func() error {
		conn, err := net.ListenPacket("udp4", "0.0.0.0:53")
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		t.Errorf("the container's own port 53: %v", err)
	}
	s.listen(t)
	s.zone.Store(NewZone([]Endpoint{{Name: "new", Network: "shop_front", Addr: netip.MustParseAddr("10.1.0.7")}}))
	if got := text(s.ask(t, "udp", "new.", dns.TypeA)); got != "NOERROR 10.1.0.7" {
		t.Error(got)
	}
}

// upstream is a resolver on this host's loopback that knows many addresses of
// one name.
func upstream(t *testing.T, answers int) string {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		for i := range answers {
			m.Answer = append(m.Answer, address(r.Question[0].Name, byte(i)))
		}
		if w.LocalAddr().Network() == "udp" {
			m.Truncate(limit(r, true))
		}
		_ = w.WriteMsg(m)
	})
	for _, server := range []*dns.Server{{PacketConn: pc, Handler: handler}, {Listener: l, Handler: handler}} {
		go func() { _ = server.ActivateAndServe() }()
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	return pc.LocalAddr().String()
}

func TestForwarding(t *testing.T) {
	dead := "127.0.0.1:1"
	s := serve(t, "127.0.0.11", dead, upstream(t, 100))
	if got := s.ask(t, "tcp", "many.example.", dns.TypeA); len(got.Answer) != 100 {
		t.Errorf("over TCP: %d answers", len(got.Answer))
	}
	got := s.ask(t, "udp", "many.example.", dns.TypeA)
	got.Compress = true // as it was sent
	if !got.Truncated || got.Len() > dns.MinMsgSize {
		t.Errorf("over UDP: truncated %v, %d bytes", got.Truncated, got.Len())
	}
}

// What is no question gets an error or nothing, and the next one its answer.
func TestMalformed(t *testing.T) {
	s := serve(t)
	err := s.inside(func() error {
		conn, err := net.Dial("udp4", "127.0.0.11:53")
		if err != nil {
			return err
		}
		defer conn.Close()
		for _, message := range []string{"", "x", strings.Repeat("\xff", 12), strings.Repeat("\x00", 12), strings.Repeat("\xc0\x0c", 2000)} {
			if _, err := conn.Write([]byte(message)); err != nil {
				return fmt.Errorf("write %d bytes: %w", len(message), err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := text(s.ask(t, "udp", "front.", dns.TypeA)); got != "NOERROR 10.1.0.2" {
		t.Error(got)
	}
}

func BenchmarkListen(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		path := newNetns(b)
		b.StartTimer()
		udp, tcp, err := Listen(path)
		if err != nil {
			b.Fatal(err)
		}
		udp.Close()
		tcp.Close()
	}
}

func FuzzQuestion(f *testing.F) {
	for _, name := range []string{"web.", "2.0.1.10.in-addr.arpa.", "."} {
		seed, err := new(dns.Msg).SetQuestion(name, dns.TypePTR).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	var zone atomic.Pointer[Zone]
	zone.Store(NewZone(shop))
	s := &serving{Server: NewServer(&zone, nil), client: Client{Networks: []string{"shop_front"}}, slots: make(chan struct{}, 1)}
	f.Fuzz(func(t *testing.T, message []byte) {
		called, sent := 0, 0
		s.answer(context.Background(), message, true, func(b []byte) {
			called++
			if b != nil {
				sent++
			}
			if len(b) > dns.MaxMsgSize {
				t.Errorf("an answer of %d bytes", len(b))
			}
		})
		s.running.Wait()
		want := 1
		if len(message) < 12 || message[2]&0x80 != 0 { // no header, or an answer itself
			want = 0
		}
		if called != 1 || sent != want {
			t.Errorf("called %d times with %d answers, want %d", called, sent, want)
		}
	})
}

func address(name string, last byte) dns.RR {
	return &dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(192, 0, 2, last).To4()}
}
