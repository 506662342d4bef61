package netplan

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"slices"
)

// Subnets that networks without one of their own are made from, in this order.
// All are private, and begin behind what other engines take first.
// Source of the private ranges: RFC 1918.
var spaces = []netip.Prefix{
	netip.MustParsePrefix("172.18.0.0/15"),
	netip.MustParsePrefix("172.20.0.0/14"),
	netip.MustParsePrefix("172.24.0.0/13"),
	netip.MustParsePrefix("192.168.128.0/17"),
	netip.MustParsePrefix("10.128.0.0/9"),
}

// poolBits is the length of a chosen subnet: 4,093 containers, and 2,280 networks.
const poolBits = 20

// ChoosePool returns the first free subnet of private address space that
// overlaps none of taken, or ErrPoolFull.
func ChoosePool(taken []netip.Prefix) (Pool, error) {
	for _, space := range spaces {
		for subnet := netip.PrefixFrom(space.Addr(), poolBits); space.Overlaps(subnet); subnet = after(subnet) {
			if !overlapsAny(subnet, taken) {
				return Pool{Subnet: subnet, Gateway: subnet.Addr().Next()}, nil
			}
		}
	}
	return Pool{}, ErrPoolFull
}

// choosePool6 returns a random unique local subnet that overlaps none of taken.
// Source: RFC 4193: fd, 40 random bits, then a subnet of 64 bits.
func choosePool6(taken []netip.Prefix) (Pool, error) {
	for range 64 {
		var b [16]byte
		b[0] = 0xfd
		if _, err := rand.Read(b[1:8]); err != nil {
			return Pool{}, fmt.Errorf("choose an IPv6 subnet: %w", err)
		}
		subnet := netip.PrefixFrom(netip.AddrFrom16(b), 64)
		if !overlapsAny(subnet, taken) {
			return Pool{Subnet: subnet, Gateway: subnet.Addr().Next()}, nil
		}
	}
	return Pool{}, ErrPoolFull
}

// allot returns n with a subnet for each address family it uses: its own,
// which must be free, or a chosen one, which overlaps none of avoid either.
func allot(n Network, others []Network, routes []netip.Prefix, avoid ...netip.Prefix) (Network, error) {
	if n.Driver != DriverBridge {
		return n, nil
	}
	taken := slices.Concat(routes, avoid)
	for _, o := range others {
		for _, p := range o.Pools {
			for _, own := range n.Pools {
				if own.Subnet.Overlaps(p.Subnet) {
					return n, fmt.Errorf("network %s: subnet %s overlaps %s of network %s", n.Name, own.Subnet, p.Subnet, o.Name)
				}
			}
			taken = append(taken, p.Subnet)
		}
		if o.Bridge != "" && o.Bridge == n.Bridge {
			return n, fmt.Errorf("network %s: bridge %s belongs to network %s", n.Name, n.Bridge, o.Name)
		}
	}
	for _, own := range n.Pools {
		for _, r := range routes {
			if own.Subnet.Overlaps(r) {
				return n, fmt.Errorf("network %s: subnet %s overlaps %s, which this host has a route for", n.Name, own.Subnet, r)
			}
		}
	}
	n.Pools = slices.Clone(n.Pools)
	if _, ok := n.pool(false); n.EnableIPv4 && !ok {
		p, err := ChoosePool(taken)
		if err != nil {
			return n, fmt.Errorf("network %s: choose a subnet: %w", n.Name, err)
		}
		n.Pools = append(n.Pools, p)
	}
	if _, ok := n.pool(true); n.EnableIPv6 && !ok {
		p, err := choosePool6(taken)
		if err != nil {
			return n, fmt.Errorf("network %s: choose a subnet: %w", n.Name, err)
		}
		n.Pools = append(n.Pools, p)
	}
	return n, nil
}

// after returns the subnet that follows p, of the same length; the zero Prefix
// at the end of the address space.
func after(p netip.Prefix) netip.Prefix {
	next := last(p).Next()
	if !next.IsValid() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(next, p.Bits())
}

// last returns the highest address of p.
func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func overlapsAny(p netip.Prefix, taken []netip.Prefix) bool {
	return slices.ContainsFunc(taken, p.Overlaps)
}
