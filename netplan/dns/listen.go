package dns

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is the nftables table in a container's namespace that leads
// 127.0.0.11:53 to the resolver's sockets.
const tableName = "compose-dns"

// port is the resolver's, as containers see it.
const port = 53

// Listen returns sockets in the network namespace at netnsPath, and leads its
// 127.0.0.11:53 to them, away from any that were there before. The sockets have
// ports of the kernel's choice, so a container may bind port 53 itself.
func Listen(netnsPath string) (udp net.PacketConn, tcp net.Listener, retErr error) {
	netns, err := os.Open(netnsPath)
	if err != nil {
		return nil, nil, fmt.Errorf("open network namespace: %w", err)
	}
	defer netns.Close()
	defer func() {
		if retErr == nil {
			return
		}
		if udp != nil {
			udp.Close()
		}
		if tcp != nil {
			tcp.Close()
		}
		udp, tcp = nil, nil
	}()
	err = within(netns, func() (err error) {
		free := net.JoinHostPort(Address.String(), "0")
		if udp, err = net.ListenPacket("udp4", free); err != nil {
			return fmt.Errorf("listen for names: %w", err)
		}
		if tcp, err = net.Listen("tcp4", free); err != nil {
			return fmt.Errorf("listen for names: %w", err)
		}
		return nil
	})
	if err != nil {
		return udp, tcp, err
	}
	udpPort := uint16(udp.LocalAddr().(*net.UDPAddr).Port)
	tcpPort := uint16(tcp.Addr().(*net.TCPAddr).Port)
	if err := redirect(netns, udpPort, tcpPort); err != nil {
		return udp, tcp, fmt.Errorf("lead port %d to the resolver: %w", port, err)
	}
	return udp, tcp, nil
}

// within runs do in a network namespace. Its thread goes back afterwards; one
// that cannot ends with the goroutine that it is locked to.
func within(netns *os.File, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("open own network namespace: %w", err)
			return
		}
		defer home.Close()
		if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("enter network namespace: %w", err)
			return
		}
		err = do()
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back == nil {
			runtime.UnlockOSThread()
		} else {
			err = errors.Join(err, fmt.Errorf("leave network namespace: %w", back))
		}
		done <- err
	}()
	return <-done
}

// redirect replaces the rules of the namespace's table in one transaction. The
// chain itself is kept: taking one down costs the kernel a dozen milliseconds.
func redirect(netns *os.File, udpPort, tcpPort uint16) error {
	conn, err := nftables.New(nftables.WithNetNSFd(int(netns.Fd())))
	if err != nil {
		return err
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName}
	conn.AddTable(table)
	chain := conn.AddChain(&nftables.Chain{
		Table: table, Name: "output", Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	})
	conn.FlushChain(chain)
	for _, r := range []struct {
		protocol byte
		to       uint16
	}{{unix.IPPROTO_UDP, udpPort}, {unix.IPPROTO_TCP, tcpPort}} {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: leadTo(r.protocol, r.to)})
	}
	return conn.Flush()
}

// leadTo is "ip daddr 127.0.0.11 meta l4proto PROTOCOL th dport 53 dnat to :PORT".
func leadTo(protocol byte, to uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: Address.AsSlice()},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
		&expr.Immediate{Register: 1, Data: Address.AsSlice()},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(to)},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2},
	}
}
