package netplan

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// forget deletes what the kernel remembers of UDP senders to ports that have
// changed, where it leads to a replica that is gone, or nowhere: UDP has no end
// of a connection, so a busy sender would be led there for ever.
func forget(changed []portKey, want map[portKey]service) error {
	if len(changed) == 0 {
		return nil
	}
	ports := map[uint16][]portKey{}
	for _, k := range changed {
		ports[k.Port] = append(ports[k.Port], k)
	}
	local, err := localAddresses()
	if err != nil {
		return err
	}
	_, err = netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, staleFlow{ports, want, local})
	if err != nil {
		return fmt.Errorf("forget stale UDP senders: %w", err)
	}
	return nil
}

// staleFlow picks the flows to published ports that no longer go where they should.
type staleFlow struct {
	ports map[uint16][]portKey
	want  map[portKey]service
	local map[netip.Addr]bool // this host's addresses: what is sent elsewhere is no affair of ours
}

func (s staleFlow) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	if f.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	to, _ := netip.AddrFromSlice(f.Forward.DstIP)
	from, _ := netip.AddrFromSlice(f.Reverse.SrcIP)
	to, from = to.Unmap(), from.Unmap()
	if !s.local[to] {
		return false
	}
	for _, k := range s.ports[f.Forward.DstPort] {
		if k.Address.IsValid() && k.Address != to {
			continue
		}
		service, published := s.want[k]
		if !published && from == to {
			continue // never was led anywhere, and need not be
		}
		ok := false
		for _, b := range service.Backends {
			ok = ok || b.Addr() == from && b.Port() == f.Reverse.SrcPort
		}
		if !ok {
			return true
		}
	}
	return false
}

func localAddresses() (map[netip.Addr]bool, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list own addresses: %w", err)
	}
	local := map[netip.Addr]bool{}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			local[p.Addr().Unmap()] = true
		}
	}
	return local, nil
}
