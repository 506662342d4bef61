package netplan

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/compose-first/compose/project"
	"github.com/compose-spec/compose-go/v2/types"
)

func TestCheckPorts(t *testing.T) {
	h := newHost(t)
	newNetwork(t, h, "default", types.NetworkConfig{})
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcpPort, udpPort := uint16(tcp.Addr().(*net.TCPAddr).Port), uint16(udp.LocalAddr().(*net.UDPAddr).Port)
	ours := freshPort()
	mustPublish(t, h, publishedPort("shop/web", "tcp", ours))
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	us := fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(comm)), os.Getpid())
	loopback := netip.MustParseAddr("127.0.0.1")
	for _, tt := range []struct {
		name string
		port project.Port
		own  string
		want string
	}{
		{"free", project.Port{Published: freshPort(), Protocol: "tcp"}, "", "free"},
		{"on every address, where someone has one", project.Port{Published: tcpPort, Protocol: "tcp"}, "", fmt.Sprintf("port %d/tcp: address already in use by %s", tcpPort, us)},
		{"on that address", project.Port{HostIP: loopback, Published: tcpPort, Protocol: "tcp"}, "", fmt.Sprintf("port 127.0.0.1:%d/tcp: address already in use by %s", tcpPort, us)},
		{"on another address", project.Port{HostIP: netip.MustParseAddr("127.0.0.2"), Published: tcpPort, Protocol: "tcp"}, "", "free"},
		{"of another protocol", project.Port{HostIP: loopback, Published: tcpPort, Protocol: "udp"}, "", "free"},
		{"udp", project.Port{Published: udpPort, Protocol: "udp"}, "", fmt.Sprintf("port %d/udp: address already in use by %s", udpPort, us)},
		{"published by another service", project.Port{Published: ours, Protocol: "tcp"}, "shop/db", fmt.Sprintf("port is already allocated: %d/tcp is already in use by service shop/web", ours)},
		{"also on one address only", project.Port{HostIP: loopback, Published: ours, Protocol: "tcp"}, "shop/db", fmt.Sprintf("port is already allocated: 127.0.0.1:%d/tcp is already in use by service shop/web", ours)},
		{"published by the service itself", project.Port{Published: ours, Protocol: "tcp"}, "shop/web", "free"},
		{"an address that is not ours", project.Port{HostIP: netip.MustParseAddr("192.0.2.7"), Published: 80, Protocol: "tcp"}, "", "port 80/tcp: 192.0.2.7 is not an address of this host"},
		{"one that is chosen later", project.Port{Protocol: "tcp"}, "", "free"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := "free"
			if err := h.CheckPorts(t.Context(), []project.Port{tt.port}, tt.own); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	err = h.CheckPorts(t.Context(), []project.Port{{Published: tcpPort, Protocol: "tcp"}, {Published: ours, Protocol: "tcp"}})
	if !errors.Is(err, ErrPortTaken) || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("two taken ports: %v", err)
	}
}

func TestFreePort(t *testing.T) {
	h := newHost(t)
	newNetwork(t, h, "default", types.NetworkConfig{})
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	used := uint16(l.Addr().(*net.TCPAddr).Port)
	if used > 65000 {
		t.Fatalf("the kernel gave port %d", used)
	}
	published := used + 1
	mustPublish(t, h, publishedPort("shop/web", "tcp", published))
	got, err := h.FreePort("tcp", netip.Addr{}, used, used+5, used+2)
	if err != nil || got < used+3 {
		t.Errorf("of %d used, %d published and %d given: %d, %v", used, published, used+2, got, err)
	}
	if _, err := h.FreePort("tcp", netip.Addr{}, used, published); !errors.Is(err, ErrPortTaken) {
		t.Errorf("a full range: %v", err)
	}
	low, high := ephemeralPorts()
	for range 10 {
		if got, err := h.FreePort("udp", netip.Addr{}, 0, 0); err != nil || got < low || got > high {
			t.Errorf("any port: %d, %v", got, err)
		}
	}
}

// A held port cannot be taken by anyone, and is free again afterwards.
func TestPortsHold(t *testing.T) {
	p := NewPorts()
	defer p.Close()
	port := freshPort()
	tcp := publishedPort("shop/web", "tcp", port)
	udp := publishedPort("shop/web", "udp", port)
	if err := p.Sync(t.Context(), []Published{tcp, udp}); err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("0.0.0.0:%d", port)
	if l, err := net.Listen("tcp4", at); err == nil {
		l.Close()
		t.Error("another can listen at a held port")
	}
	if c, err := net.ListenPacket("udp4", at); err == nil {
		c.Close()
		t.Error("another can have a held port of UDP")
	}
	if got := try(place{}, "tcp", fmt.Sprintf("127.0.0.1:%d", port)); got != "refused" {
		t.Errorf("a held port that nothing leads anywhere: %s", got)
	}
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	other := publishedPort("shop/db", "tcp", uint16(taken.Addr().(*net.TCPAddr).Port))
	other.Port.HostIP = netip.MustParseAddr("127.0.0.1")
	if err := p.Sync(t.Context(), []Published{tcp, other}); err == nil || !strings.Contains(err.Error(), "hold port "+taken.Addr().String()+"/tcp") {
		t.Errorf("a port that is taken: %v", err)
	}
	if c, err := net.ListenPacket("udp4", at); err != nil {
		t.Errorf("a port given back: %v", err)
	} else {
		c.Close()
	}
	if err := p.Sync(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", at)
	if err != nil {
		t.Fatalf("all given back: %v", err)
	}
	l.Close()
}

// What comes in by IPv6 is led to the replicas in turn, and follows them.
func TestPortsProxy(t *testing.T) {
	h := newHost(t)
	n := newNetwork(t, h, "default", types.NetworkConfig{})
	a, b := container(t, h, "a", 1, n), container(t, h, "b", 2, n)
	serve(t, a, "0.0.0.0:80")
	serve(t, b, "0.0.0.0:80")
	p := NewPorts()
	defer p.Close()
	port := freshPort()
	to := fmt.Sprintf("[::1]:%d", port)
	for _, step := range []struct {
		replicas []place
		want     map[string]bool
	}{
		{[]place{a, b}, map[string]bool{"a": true, "b": true}},
		{[]place{b}, map[string]bool{"b": true}},
		{nil, map[string]bool{"refused": true}},
		{[]place{a}, map[string]bool{"a": true}},
	} {
		if err := p.Sync(t.Context(), []Published{publishedPort("shop/web", "tcp", port, step.replicas...), publishedPort("shop/web", "udp", port, step.replicas...)}); err != nil {
			t.Fatal(err)
		}
		for _, protocol := range []string{"tcp", "udp"} {
			got := map[string]bool{}
			for range 4 {
				got[strings.Fields(try(place{}, protocol, to))[0]] = true
			}
			if protocol == "udp" && len(step.replicas) == 0 {
				step.want = map[string]bool{"silence": true}
			}
			if fmt.Sprint(got) != fmt.Sprint(step.want) {
				t.Errorf("%s with %d replicas: %v, want %v", protocol, len(step.replicas), got, step.want)
			}
		}
	}
	// A replica that does not answer is passed over.
	dead := publishedPort("shop/web", "tcp", port, a)
	dead.Backends = append(dead.Backends, netip.AddrPortFrom(b.address(0), 81))
	if err := p.Sync(t.Context(), []Published{dead}); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if got := try(place{}, "tcp", to); !strings.HasPrefix(got, "a sees") {
			t.Errorf("beside a dead replica: %s", got)
		}
	}
}

// One side's end of what it says does not cut off the other.
func TestProxyHalfClose(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		text := readAll(c) // until the client has said all
		_, _ = c.Write([]byte("you said " + text))
	}()
	p := NewPorts()
	defer p.Close()
	port := freshPort()
	backend, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	one := Published{Service: "shop/web", Port: project.Port{HostIP: netip.IPv6Loopback(), Published: port}, Backends: []netip.AddrPort{backend}}
	if err := p.Sync(t.Context(), []Published{one}); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp6", fmt.Sprintf("[::1]:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := readAll(c); got != "you said hello" {
		t.Errorf("got %q", got)
	}
}

func readAll(c net.Conn) string {
	var text strings.Builder
	buf := make([]byte, 100)
	for {
		n, err := c.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			return text.String()
		}
	}
}
