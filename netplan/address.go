package netplan

import (
	"fmt"
	"net/netip"
	"strings"
)

// FreeAddress returns the lowest IPv4 address of the network for which taken is
// false, with the length of its subnet. It never is the subnet's first or last
// address, the gateway, or an auxiliary address, and it lies in the pool's
// Range. The error is ErrPoolFull when there is none.
func (n Network) FreeAddress(taken func(netip.Addr) bool) (netip.Prefix, error) {
	return n.free(false, taken)
}

// FreeAddress6 is FreeAddress for IPv6.
func (n Network) FreeAddress6(taken func(netip.Addr) bool) (netip.Prefix, error) {
	return n.free(true, taken)
}

// Static returns addr with the length of its subnet, for a container that asks
// for it. It is an error when the network cannot give it to any container.
func (n Network) Static(addr netip.Addr) (netip.Prefix, error) {
	p, ok := n.pool(addr.Is6())
	if !ok || !p.Subnet.Contains(addr) {
		return netip.Prefix{}, fmt.Errorf("network %s: address %s is in none of its subnets (%s)", n.Name, addr, n.subnets())
	}
	if !p.gives(addr) {
		return netip.Prefix{}, fmt.Errorf("network %s: address %s is reserved: it is the gateway's, an auxiliary one, or the subnet's first or last", n.Name, addr)
	}
	return netip.PrefixFrom(addr, p.Subnet.Bits()), nil
}

func (n Network) free(six bool, taken func(netip.Addr) bool) (netip.Prefix, error) {
	p, ok := n.pool(six)
	if !ok {
		return netip.Prefix{}, fmt.Errorf("network %s: no subnet of that family: %w", n.Name, ErrPoolFull)
	}
	within := p.Subnet
	if p.Range.IsValid() {
		within = p.Range
	}
	for a := within.Masked().Addr(); within.Contains(a); a = a.Next() {
		if p.gives(a) && !taken(a) {
			return netip.PrefixFrom(a, p.Subnet.Bits()), nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("network %s: %s: %w", n.Name, within, ErrPoolFull)
}

func (n Network) subnets() string {
	var texts []string
	for _, p := range n.Pools {
		texts = append(texts, p.Subnet.String())
	}
	return strings.Join(texts, ", ")
}

// pool returns the network's pool of an address family.
func (n Network) pool(six bool) (Pool, bool) {
	for _, p := range n.Pools {
		if p.Subnet.Addr().Is6() == six {
			return p, true
		}
	}
	return Pool{}, false
}

// gives reports whether a container may have a at all.
func (p Pool) gives(a netip.Addr) bool {
	if a == p.Gateway || a == p.Subnet.Masked().Addr() || a.Is4() && a == last(p.Subnet) {
		return false
	}
	for _, aux := range p.Aux {
		if a == aux {
			return false
		}
	}
	return true
}

// check returns an error when the pool is not one that a bridge can have.
func (p Pool) check() error {
	subnet := p.Subnet
	if !subnet.IsValid() || subnet != subnet.Masked() {
		return fmt.Errorf("%s is not a subnet", subnet)
	}
	if subnet.Addr().BitLen()-subnet.Bits() < 2 {
		return fmt.Errorf("subnet %s is too small for a gateway and a container", subnet)
	}
	if a := subnet.Addr(); a.IsLoopback() || a.IsMulticast() || a.IsUnspecified() || a.IsLinkLocalUnicast() {
		return fmt.Errorf("subnet %s cannot be used for containers", subnet)
	}
	if !subnet.Contains(p.Gateway) || p.Gateway == subnet.Addr() || p.Gateway.Is4() && p.Gateway == last(subnet) {
		return fmt.Errorf("gateway %s is no host address of subnet %s", p.Gateway, subnet)
	}
	if r := p.Range; r.IsValid() && (r.Addr().Is6() != subnet.Addr().Is6() || r.Bits() < subnet.Bits() || !subnet.Contains(r.Addr())) {
		return fmt.Errorf("range %s is outside subnet %s", r, subnet)
	}
	for name, a := range p.Aux {
		if !subnet.Contains(a) {
			return fmt.Errorf("auxiliary address %s (%s) is outside subnet %s", name, a, subnet)
		}
	}
	return nil
}
