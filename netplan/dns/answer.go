package dns

import (
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// fromZone answers a question from the zone. It returns nil when the zone
// knows nothing of the name: then others are to be asked.
func fromZone(z *Zone, c Client, request *dns.Msg) *dns.Msg {
	q := request.Question[0]
	if q.Qclass != dns.ClassINET {
		return nil
	}
	if q.Qtype == dns.TypePTR {
		return fromAddresses(z, c, request)
	}
	a := z.lookup(c, q.Name, q.Qtype == dns.TypeAAAA)
	if !a.Known {
		return nil
	}
	reply := newReply(request)
	reply.Authoritative = true
	switch {
	case !a.Found:
		reply.Rcode = dns.RcodeNameError
	case q.Qtype == dns.TypeA, q.Qtype == dns.TypeAAAA:
		rand.Shuffle(len(a.Addrs), func(i, j int) { a.Addrs[i], a.Addrs[j] = a.Addrs[j], a.Addrs[i] })
		for _, addr := range a.Addrs {
			reply.Answer = append(reply.Answer, record(q.Name, addr))
		}
	}
	return reply
}

func record(name string, addr netip.Addr) dns.RR {
	if addr.Is4() {
		return &dns.A{Hdr: header(name, dns.TypeA), A: addr.AsSlice()}
	}
	return &dns.AAAA{Hdr: header(name, dns.TypeAAAA), AAAA: addr.AsSlice()}
}

func header(name string, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

// fromAddresses answers a reverse lookup.
func fromAddresses(z *Zone, c Client, request *dns.Msg) *dns.Msg {
	q := request.Question[0]
	addr, ok := reversed(q.Name)
	if !ok {
		return nil
	}
	name, known := z.reverse(c, addr)
	if !known {
		return nil
	}
	reply := newReply(request)
	reply.Authoritative = true
	if name == "" {
		reply.Rcode = dns.RcodeNameError
		return reply
	}
	reply.Answer = []dns.RR{&dns.PTR{Hdr: header(q.Name, dns.TypePTR), Ptr: dns.Fqdn(name)}}
	return reply
}

// reversed is the address that a name below in-addr.arpa or ip6.arpa stands for.
// Source: RFC 1035, 3.5; RFC 3596, 2.5.
func reversed(name string) (netip.Addr, bool) {
	name = canonical(name)
	if v4, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		labels := strings.Split(v4, ".")
		if len(labels) != 4 {
			return netip.Addr{}, false
		}
		addr, err := netip.ParseAddr(labels[3] + "." + labels[2] + "." + labels[1] + "." + labels[0])
		return addr, err == nil
	}
	v6, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok || len(v6) != 63 {
		return netip.Addr{}, false
	}
	var text strings.Builder
	for i := 31; i >= 0; i-- {
		text.WriteByte(v6[2*i])
		if i%4 == 0 && i > 0 {
			text.WriteByte(':')
		}
	}
	addr, err := netip.ParseAddr(text.String())
	return addr, err == nil
}

// newReply is a reply with nothing in it yet, and the request's EDNS said back.
func newReply(request *dns.Msg) *dns.Msg {
	reply := new(dns.Msg).SetReply(request)
	reply.RecursionAvailable = true
	if opt := request.IsEdns0(); opt != nil {
		reply.SetEdns0(maxUDP, false)
	}
	return reply
}

func failure(request *dns.Msg, rcode int) *dns.Msg {
	reply := newReply(request)
	reply.Rcode = rcode
	return reply
}
