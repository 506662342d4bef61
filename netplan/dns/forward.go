package dns

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// upstreamTimeout is how long one upstream resolver is waited for: less than
// the 5 s after which a container's own resolver asks again, for two of them.
// Source: resolv.conf(5), RES_TIMEOUT.
const upstreamTimeout = 2 * time.Second

// forward asks the upstream resolvers one after the other. A reply that is
// too long for UDP is fetched again over TCP.
func forward(ctx context.Context, c Client, request *dns.Msg, network string) *dns.Msg {
	for _, upstream := range c.Upstream {
		address, ok := upstreamAddress(upstream)
		if !ok {
			continue
		}
		reply, err := exchange(ctx, request, network, address)
		if err == nil && reply.Truncated && network == "udp" {
			if whole, err := exchange(ctx, request, "tcp", address); err == nil {
				reply = whole
			}
		}
		if err == nil && reply.Rcode != dns.RcodeServerFailure && reply.Rcode != dns.RcodeRefused {
			reply.Id = request.Id
			return reply
		}
		if ctx.Err() != nil {
			break
		}
	}
	if strings.Count(canonical(request.Question[0].Name), ".") == 0 {
		// A name without a dot is a container's or nobody's: "not there" lets the
		// asker go on with its search list at once.
		return failure(request, dns.RcodeNameError)
	}
	return failure(request, dns.RcodeServerFailure)
}

func exchange(ctx context.Context, request *dns.Msg, network, address string) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: upstreamTimeout, UDPSize: maxUDP}
	query := request.Copy()
	query.Id = dns.Id() // the container's own choice would let it guess for others
	reply, _, err := client.ExchangeContext(ctx, query, address)
	return reply, err
}

// upstreamAddress is "ip:port" of an upstream. The containers' own resolver
// address is none: asking it would be asking ourselves.
func upstreamAddress(s string) (string, bool) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = s, "53"
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr == Address {
		return "", false
	}
	return net.JoinHostPort(host, port), true
}
