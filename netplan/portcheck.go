package netplan

import (
	"bufio"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-first/compose/project"
	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// ErrPortTaken is in the error of CheckPorts and FreePort when a port is in use.
var ErrPortTaken = errors.New("already in use")

// CheckPorts returns an error that names each fixed port which is taken on this
// host, and by which service or process. What one of the services in own
// ("project/service") publishes already is not taken. Ports that are chosen
// later, and ranges, are not looked at: see FreePort.
func (h *Host) CheckPorts(ctx context.Context, ports []project.Port, own ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	have := h.publishedNow()
	var errs []error
	for _, p := range ports {
		if p.Published == 0 || p.PublishedEnd > p.Published {
			continue
		}
		if k, s, ok := publishedBy(have, p); ok {
			if !slices.Contains(own, s) {
				errs = append(errs, fmt.Errorf("port is already allocated: %s is %w by service %s", k, ErrPortTaken, s))
			}
			continue
		}
		errs = append(errs, checkPort(p))
	}
	return errors.Join(errs...)
}

// FreePort returns the first port from low to high that nothing on this host
// uses or publishes, for protocol ("tcp", "udp" or "sctp") on ip (zero: every
// address); any port when both are 0. The error is ErrPortTaken when there is
// none. Nothing holds the port: ports given out and not yet published must be in taken.
func (h *Host) FreePort(protocol string, ip netip.Addr, low, high uint16, taken ...uint16) (uint16, error) {
	have := h.publishedNow()
	free := func(port uint16) bool {
		p := project.Port{HostIP: ip, Published: port, Protocol: protocol}
		_, _, published := publishedBy(have, p)
		return !published && !slices.Contains(taken, port) && checkPort(p) == nil
	}
	if low == 0 && high == 0 {
		low, high = ephemeralPorts()
		// From another place each time: a port just given back is then not given
		// to someone else while clients still know it, nor twice to two who ask at once.
		count := uint32(high-low) + 1
		start := rand.Uint32N(count)
		for i := range count {
			if port := low + uint16((start+i)%count); free(port) {
				return port, nil
			}
		}
	}
	for port := uint32(low); port <= uint32(high); port++ {
		if free(uint16(port)) {
			return uint16(port), nil
		}
	}
	return 0, fmt.Errorf("every port from %d to %d/%s is %w", low, high, protocol, ErrPortTaken)
}

// publishedNow returns what the kernel leads to our services; nothing when it
// cannot be read, as before the first network.
func (h *Host) publishedNow() map[portKey]led {
	var have map[portKey]led
	_ = h.tables(func(c *nftables.Conn) (err error) {
		have, err = newTable(h.tag).leads(c)
		return err
	})
	return have
}

// publishedBy returns the service that publishes a port which p would overlap.
func publishedBy(have map[portKey]led, p project.Port) (portKey, string, bool) {
	want, ok := keyOf(p)
	if !ok {
		return portKey{}, "", false
	}
	for k, l := range have {
		if k.Protocol == want.Protocol && k.Port == want.Port &&
			(k.Address == want.Address || !k.Address.IsValid() || !want.Address.IsValid()) {
			return want, ownerOf(l.chain), true
		}
	}
	return portKey{}, "", false
}

// checkPort tries to listen at a port, for each address family it is published on.
func checkPort(p project.Port) error {
	ip := p.HostIP.Unmap()
	tries := []netip.Addr{ip}
	if !ip.IsValid() {
		tries = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	protocol := cmp.Or(p.Protocol, "tcp")
	for _, a := range tries {
		fd, err := bindPort(protocol, netip.AddrPortFrom(a, p.Published), true)
		if err == nil {
			unix.Close(fd)
			continue
		}
		switch {
		case errors.Is(err, errUnknownProtocol), !ip.IsValid() && a.Is6() && !errors.Is(err, unix.EADDRINUSE):
			continue // no such protocol, or no IPv6, on this host
		case errors.Is(err, unix.EADDRINUSE):
			return takenError(p, protocol)
		case errors.Is(err, unix.EADDRNOTAVAIL):
			return fmt.Errorf("port %d/%s: %s is not an address of this host", p.Published, protocol, ip)
		default:
			return fmt.Errorf("port %d/%s: %w", p.Published, protocol, err)
		}
	}
	return nil
}

func takenError(p project.Port, protocol string) error {
	where := fmt.Sprintf("%d/%s", p.Published, protocol)
	if p.HostIP.IsValid() && !p.HostIP.IsUnspecified() {
		where = netip.AddrPortFrom(p.HostIP, p.Published).String() + "/" + protocol
	}
	if name, pid := socketOwner("/proc", protocol, p.Published); pid != 0 {
		return fmt.Errorf("port %s: address %w by %s (pid %d)", where, ErrPortTaken, name, pid)
	}
	return fmt.Errorf("port %s: address %w", where, ErrPortTaken)
}

var errUnknownProtocol = errors.New("protocol is not known here")

// bindPort returns a socket that has the port, for IPv4 or for IPv6 alone. With
// listen it listens too, if it is of TCP: only then does the kernel say that
// another socket, bound but silent, has it.
func bindPort(protocol string, at netip.AddrPort, listen bool) (_ int, retErr error) {
	kind := unix.SOCK_STREAM
	switch protocol {
	case "tcp":
	case "udp":
		kind = unix.SOCK_DGRAM
	default:
		return -1, errUnknownProtocol
	}
	family, address := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(at.Port()), Addr: v4(at.Addr())})
	if at.Addr().Is6() {
		family, address = unix.AF_INET6, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	defer func() {
		if retErr != nil {
			unix.Close(fd)
		}
	}()
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return -1, err
		}
	}
	if kind == unix.SOCK_STREAM {
		// Connections that someone has just closed do not make the port taken.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return -1, err
		}
	}
	if err := unix.Bind(fd, address); err != nil {
		return -1, err
	}
	if kind == unix.SOCK_STREAM && listen {
		if err := unix.Listen(fd, 1); err != nil {
			return -1, err
		}
	}
	return fd, nil
}

func v4(a netip.Addr) [4]byte {
	if a.Is4() {
		return a.As4()
	}
	return [4]byte{}
}

// ephemeralPorts is the range from which the kernel chooses.
// Source of the default: Linux, ip-sysctl, ip_local_port_range.
func ephemeralPorts() (low, high uint16) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		if n, _ := fmt.Sscan(string(b), &low, &high); n == 2 && low <= high && low > 0 {
			return low, high
		}
	}
	return 32768, 60999
}

// socketOwner returns the process that has a port, as far as proc tells. A pid
// of 0 means that it does not.
func socketOwner(proc, protocol string, port uint16) (name string, pid int) {
	inodes := map[string]bool{}
	for _, file := range []string{protocol, protocol + "6"} {
		addInodes(inodes, filepath.Join(proc, "net", file), protocol, port)
	}
	if len(inodes) == 0 {
		return "", 0
	}
	entries, err := os.ReadDir(proc)
	if err != nil {
		return "", 0
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || !hasSocket(filepath.Join(proc, e.Name(), "fd"), inodes) {
			continue
		}
		comm, _ := os.ReadFile(filepath.Join(proc, e.Name(), "comm"))
		return printable(strings.TrimSpace(string(comm))), pid
	}
	return "", 0
}

// addInodes adds the sockets that a file of proc/net lists at a port.
// Source of the form: Linux, proc_net_tcp: local address second, state fourth
// (0A listens), inode tenth.
func addInodes(inodes map[string]bool, file, protocol string, port uint16) {
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || protocol == "tcp" && fields[3] != "0A" {
			continue
		}
		_, text, _ := strings.Cut(fields[1], ":")
		if b, err := hex.DecodeString(text); err == nil && len(b) == 2 && uint16(b[0])<<8|uint16(b[1]) == port {
			inodes[fields[9]] = true
		}
	}
}

func hasSocket(dir string, inodes map[string]bool) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		inode, ok := strings.CutPrefix(target, "socket:[")
		if ok && inodes[strings.TrimSuffix(inode, "]")] {
			return true
		}
	}
	return false
}

// printable replaces what a process may have put into its name to fool a terminal.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, name)
}
