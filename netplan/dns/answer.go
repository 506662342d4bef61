package dns

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// ttl is how long an answer may be kept: not at all, so that the next lookup
// after a container has moved gives its new address.
const ttl = 0

// local answers a question from the zone; nil when it is for others to answer.
// The turn decides which address comes first.
func (z *Zone) local(c Client, q *dns.Msg, turn uint32) *dns.Msg {
	question := q.Question[0]
	if question.Qclass != dns.ClassINET {
		return nil
	}
	if question.Qtype == dns.TypePTR {
		if a, ok := reversed(question.Name); ok {
			return z.localPointer(c, q, a)
		}
	}
	four, six, known := z.lookup(c, question.Name)
	if !known {
		return nil
	}
	m := reply(q)
	m.Authoritative = true
	if len(four)+len(six) == 0 {
		m.Rcode = dns.RcodeNameError
		return m
	}
	head := dns.RR_Header{Name: question.Name, Class: dns.ClassINET, Ttl: ttl}
	if question.Qtype == dns.TypeA || question.Qtype == dns.TypeANY {
		head.Rrtype = dns.TypeA
		for i := range four {
			m.Answer = append(m.Answer, &dns.A{Hdr: head, A: net.IP(four[(i+int(turn%uint32(len(four))))%len(four)].AsSlice())})
		}
	}
	if question.Qtype == dns.TypeAAAA || question.Qtype == dns.TypeANY {
		head.Rrtype = dns.TypeAAAA
		for i := range six {
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: head, AAAA: net.IP(six[(i+int(turn%uint32(len(six))))%len(six)].AsSlice())})
		}
	}
	return m
}

func (z *Zone) localPointer(c Client, q *dns.Msg, a netip.Addr) *dns.Msg {
	names, known := z.pointer(c, a)
	if !known {
		return nil
	}
	m := reply(q)
	m.Authoritative = true
	if len(names) == 0 {
		m.Rcode = dns.RcodeNameError
	}
	for _, name := range names {
		m.Answer = append(m.Answer, &dns.PTR{
			Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: ttl},
			Ptr: dns.Fqdn(name),
		})
	}
	return m
}

// reply is an answer to q with nothing in it yet.
func reply(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	if o := q.IsEdns0(); o != nil {
		m.SetEdns0(maxUDP, o.Do())
	}
	return m
}

// failure is an answer to q that says only what went wrong.
func failure(q *dns.Msg, code int) *dns.Msg {
	m := reply(q)
	m.Rcode = code
	return m
}

// reversed reads the address out of a name of the reverse zones.
// Source: RFC 1035, 3.5, and RFC 3596, 2.5.
func reversed(name string) (netip.Addr, bool) {
	name = fold(name)
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		parts := strings.Split(rest, ".")
		var b [4]byte
		if len(parts) != len(b) {
			return netip.Addr{}, false
		}
		for i, p := range parts {
			n, err := strconv.ParseUint(p, 10, 8)
			if err != nil {
				return netip.Addr{}, false
			}
			b[len(b)-1-i] = byte(n)
		}
		return netip.AddrFrom4(b), true
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa")
	parts := strings.Split(rest, ".")
	var b [16]byte
	if !ok || len(parts) != 2*len(b) {
		return netip.Addr{}, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 16, 4)
		if err != nil || len(p) != 1 {
			return netip.Addr{}, false
		}
		at := len(parts) - 1 - i
		b[at/2] |= byte(n) << (4 * (1 - at%2))
	}
	return netip.AddrFrom16(b), true
}
