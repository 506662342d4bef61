package netplan

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The words that rules are written in: each returns the expressions of one
// match or one verdict. All of them load into register 1.

// rule joins words to a rule.
func rule(words ...[]expr.Any) []expr.Any {
	var all []expr.Any
	for _, w := range words {
		all = append(all, w...)
	}
	return all
}

func load(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: 1} }

func equal(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data} }

// interfaceKeys are of the interface a packet came in by, and leaves by.
const (
	in  = expr.MetaKeyIIFNAME
	out = expr.MetaKeyOIFNAME
)

func named(key expr.MetaKey, name string) []expr.Any {
	return []expr.Any{load(key), equal(ifname(name))}
}

func notNamed(key expr.MetaKey, name string) []expr.Any {
	return []expr.Any{load(key), &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: ifname(name)}}
}

// among matches packets whose interface is in a set of names.
func among(key expr.MetaKey, s *nftables.Set) []expr.Any {
	return []expr.Any{load(key), &expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID}}
}

func notAmong(key expr.MetaKey, s *nftables.Set) []expr.Any {
	return []expr.Any{load(key), &expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID, Invert: true}}
}

// staysIn matches packets that leave by the bridge they came in by, for the
// bridges in pairs, a set of names twice over.
func staysIn(pairs *nftables.Set) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: in, Register: 1},
		&expr.Meta{Key: out, Register: 2}, // 16 bytes on: a name fills a register
		&expr.Lookup{SourceRegister: 1, SetName: pairs.Name, SetID: pairs.ID},
	}
}

// family matches IPv4 or IPv6.
func family(six bool) []expr.Any {
	proto := byte(unix.NFPROTO_IPV4)
	if six {
		proto = unix.NFPROTO_IPV6
	}
	return []expr.Any{load(expr.MetaKeyNFPROTO), equal([]byte{proto})}
}

// ipSource and ipTarget load an address of a packet.
func ipSource(six bool, register uint32) expr.Any { return ipField(six, 12, 8, register) }
func ipTarget(six bool, register uint32) expr.Any { return ipField(six, 16, 24, register) }

// ipField loads the address at an offset in the header.
// Source of the offsets: RFC 791 and RFC 8200.
func ipField(six bool, offset4, offset6, register uint32) expr.Any {
	p := &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset4, Len: 4}
	if six {
		p.Offset, p.Len = offset6, 16
	}
	return p
}

// sourceAmong and targetAmong match packets from, and to, the addresses of a set.
func sourceAmong(s *nftables.Set, six bool) []expr.Any {
	return append(family(six), ipSource(six, 1), &expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID})
}

func targetAmong(s *nftables.Set, six bool) []expr.Any {
	return append(family(six), ipTarget(six, 1), &expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID})
}

// masked compares an IPv4 address that load has loaded with a subnet.
func masked(field expr.Any, subnet netip.Prefix) []expr.Any {
	mask := make([]byte, 4)
	for bit := range subnet.Bits() {
		mask[bit/8] |= 1 << (7 - bit%8)
	}
	return append(family(false), field,
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		equal(subnet.Addr().AsSlice()))
}

// known matches packets of connections that were let through before.
func known() []expr.Any {
	return ctBits(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}

// answer matches packets that go back to who opened their connection.
// Source: linux/nf_conntrack_tuple_common.h, IP_CT_DIR_REPLY.
func answer() []expr.Any {
	return []expr.Any{&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1}, equal([]byte{1})}
}

// published matches packets of connections that were led to another address.
// Source: linux/nf_conntrack_common.h, IPS_DST_NAT.
func published() []expr.Any { return ctBits(expr.CtKeySTATUS, 1<<5) }

func ctBits(key expr.CtKey, bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: key, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// local matches packets to, or from, an address of this host.
func local(source bool) []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, ResultADDRTYPE: true, FlagSADDR: source, FlagDADDR: !source},
		equal(binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)),
	}
}

// strayed matches packets whose sender is not reached by the interface that they came in by.
func strayed() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, ResultOIF: true, FlagSADDR: true, FlagIIF: true},
		equal(make([]byte, 4)),
	}
}

func protocol(number byte) []expr.Any {
	return []expr.Any{load(expr.MetaKeyL4PROTO), equal([]byte{number})}
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }
func jump(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}
func drop() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }

// refuse answers at once that the way is closed, so that nobody waits.
// Source: linux/netfilter/nf_tables.h, NFT_REJECT_ICMPX_ADMIN_PROHIBITED.
func refuse() []expr.Any {
	return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}}
}

func masquerade() []expr.Any { return []expr.Any{&expr.Masq{}} }

// ifname is a name as the kernel compares it.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}
