package dns

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Address is where containers ask, at port 53.
// Source: what images and their configurations expect of Docker's.
const Address = "127.0.0.11"

// tableName is our nftables table inside a container's network namespace.
const tableName = "compose-dns"

// The sockets take a port from these: above those that the kernel chooses from
// for others, and that programs are configured with.
const firstPort, lastPort = 61000, 65535

// Listen returns sockets in the network namespace at netnsPath, and leads what
// that namespace sends to port 53 of Address to them. Port 53 itself stays
// free for the container. What an earlier Listen has set up there is replaced
// in one step.
//
// The port is rewritten packet by packet, without connection tracking: a
// container's other traffic pays nothing for it.
func Listen(netnsPath string) (net.PacketConn, net.Listener, error) {
	target, err := unix.Open(netnsPath, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open network namespace %s: %w", netnsPath, err)
	}
	defer unix.Close(target)
	type sockets struct {
		udp net.PacketConn
		tcp net.Listener
		err error
	}
	// On a goroutine of its own: if its thread cannot come back, it ends with it.
	made := make(chan sockets)
	go func() {
		var s sockets
		s.err = inside(target, func() (err error) { s.udp, s.tcp, err = open(); return err })
		made <- s
	}()
	s := <-made
	if s.err != nil {
		closeBoth(s.udp, s.tcp)
		return nil, nil, fmt.Errorf("listen in network namespace %s: %w", netnsPath, s.err)
	}
	return s.udp, s.tcp, nil
}

// inside runs do in a network namespace, and goes back.
func inside(target int, do func() error) (retErr error) {
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own network namespace: %w", err)
	}
	defer unix.Close(home)
	if err := unix.Setns(target, unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter: %w", err)
	}
	defer func() {
		if err := unix.Setns(home, unix.CLONE_NEWNET); err != nil {
			retErr = errors.Join(retErr, fmt.Errorf("leave: %w", err))
			return // still locked: the thread ends with its goroutine
		}
		runtime.UnlockOSThread()
	}()
	return do()
}

// open makes the sockets in the calling thread's namespace, and the rules.
func open() (net.PacketConn, net.Listener, error) {
	udp, tcp, port, err := bind()
	if err != nil {
		return nil, nil, err
	}
	if err := redirect(port); err != nil {
		closeBoth(udp, tcp)
		return nil, nil, err
	}
	return udp, tcp, nil
}

// bind returns two sockets at one port.
func bind() (net.PacketConn, net.Listener, uint16, error) {
	var config net.ListenConfig
	start := rand.IntN(lastPort - firstPort + 1)
	for i := range lastPort - firstPort + 1 {
		port := firstPort + (start+i)%(lastPort-firstPort+1)
		at := fmt.Sprintf("%s:%d", Address, port)
		udp, err := config.ListenPacket(context.Background(), "udp4", at)
		if errors.Is(err, unix.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, nil, 0, err
		}
		tcp, err := config.Listen(context.Background(), "tcp4", at)
		if errors.Is(err, unix.EADDRINUSE) {
			udp.Close()
			continue
		}
		if err != nil {
			udp.Close()
			return nil, nil, 0, err
		}
		return udp, tcp, uint16(port), nil
	}
	return nil, nil, 0, fmt.Errorf("no port from %d to %d is free: %w", firstPort, lastPort, os.ErrExist)
}

// redirect replaces the namespace's rules in one step. The chains stay, since
// taking one down costs the kernel a dozen milliseconds. Questions to port 53 go to port, and
// answers from it come from 53. Questions are rewritten before connection
// tracking, where a container has its own, and answers after it: it sees one
// and the same connection to port.
func redirect(port uint16) error {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	// Closing waits until what was replaced is freed, which nobody else need wait for.
	defer func() { go func() { _ = c.CloseLasting() }() }()
	t := &nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv4}
	c.AddTable(t)
	policy := nftables.ChainPolicyAccept
	chain := func(name string, priority nftables.ChainPriority) *nftables.Chain {
		chain := c.AddChain(&nftables.Chain{
			Name: name, Table: t, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookOutput, Priority: &priority, Policy: &policy,
		})
		c.FlushChain(chain)
		return chain
	}
	questions, answers := chain("questions", -300), chain("answers", 300)
	for _, p := range []struct {
		number   byte
		checksum uint32 // where the header has it: RFC 768 and RFC 9293
	}{{unix.IPPROTO_UDP, 6}, {unix.IPPROTO_TCP, 16}} {
		c.AddRule(&nftables.Rule{Table: t, Chain: questions, Exprs: rewrite(p.number, p.checksum, 16, 2, 53, port)})
		c.AddRule(&nftables.Rule{Table: t, Chain: answers, Exprs: rewrite(p.number, p.checksum, 12, 0, port, 53)})
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("lead port 53 of %s to port %d: %w", Address, port, err)
	}
	return nil
}

// rewrite changes a port of a packet whose address at addressOffset is Address.
func rewrite(protocol byte, checksum, addressOffset, portOffset uint32, from, to uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: addressOffset, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{127, 0, 0, 11}},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: portOffset, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(from)},
		&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(to)},
		&expr.Payload{
			OperationType: expr.PayloadWrite, SourceRegister: 1,
			Base: expr.PayloadBaseTransportHeader, Offset: portOffset, Len: 2,
			CsumType: expr.CsumTypeInet, CsumOffset: checksum,
		},
	}
}

func closeBoth(udp net.PacketConn, tcp net.Listener) {
	if udp != nil {
		udp.Close()
	}
	if tcp != nil {
		tcp.Close()
	}
}
