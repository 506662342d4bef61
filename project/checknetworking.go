package project

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// checkHost checks the names and addresses that a container is told.
func (l *loading) checkHost(s types.ServiceConfig) error {
	for _, n := range []struct{ key, value string }{{"hostname", s.Hostname}, {"domainname", s.DomainName}} {
		if n.value == "" {
			continue
		}
		if err := checkHostname(n.value); err != nil {
			return l.fail(s.Name, n.key, "%v", err)
		}
		if s.Uts == "host" {
			return l.fail(s.Name, n.key, "cannot be set with uts: host")
		}
	}
	if len(s.Hostname) > 63 {
		return l.fail(s.Name, "hostname", "%q is longer than 63 characters", s.Hostname)
	}
	for i, server := range s.DNS {
		if _, err := parseAddress(server); err != nil {
			return l.fail(s.Name, fmt.Sprintf("dns[%d]", i), "%v", err)
		}
	}
	for _, words := range []struct {
		key  string
		list []string
	}{{"dns_search", s.DNSSearch}, {"dns_opt", s.DNSOpts}} {
		for i, w := range words.list {
			if w == "" || strings.ContainsFunc(w, func(r rune) bool { return r == ' ' || unprintable(r) }) {
				return l.fail(s.Name, fmt.Sprintf("%s[%d]", words.key, i), "invalid word %q", w)
			}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(s.ExtraHosts)) {
		if err := checkHostname(host); err != nil {
			return l.fail(s.Name, "extra_hosts", "%v", err)
		}
		for _, address := range s.ExtraHosts[host] {
			if _, err := parseAddress(address); err != nil && address != hostGateway {
				return l.fail(s.Name, "extra_hosts", "host %q: %v", host, err)
			}
		}
	}
	return nil
}

// hostGateway stands for an address of the host in extra_hosts.
const hostGateway = "host-gateway"

// checkNetworking checks ports and a service's side of its networks.
func (l *loading) checkNetworking(s types.ServiceConfig) error {
	for i, port := range s.Ports {
		if _, err := parsePort(port); err != nil {
			return l.fail(s.Name, fmt.Sprintf("ports[%d]", i), "%v", err)
		}
	}
	for i, text := range s.Expose {
		if _, err := parseExpose(text); err != nil {
			return l.fail(s.Name, fmt.Sprintf("expose[%d]", i), "%v", err)
		}
	}
	if err := l.checkMAC(s, "mac_address", s.MacAddress); err != nil {
		return err
	}
	interfaces := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(s.Networks)) {
		n := s.Networks[name]
		if n == nil {
			continue
		}
		key := "networks." + name
		if err := l.checkMAC(s, key+".mac_address", n.MacAddress); err != nil {
			return err
		}
		for i, alias := range n.Aliases {
			if err := checkHostname(alias); err != nil {
				return l.fail(s.Name, fmt.Sprintf("%s.aliases[%d]", key, i), "%v", err)
			}
		}
		if n.InterfaceName != "" {
			if !interfaceForm.MatchString(n.InterfaceName) || strings.ContainsFunc(n.InterfaceName, unprintable) || n.InterfaceName == "lo" || strings.HasPrefix(n.InterfaceName, ".") {
				return l.fail(s.Name, key+".interface_name", "invalid interface name %q", n.InterfaceName)
			}
			if other, taken := interfaces[n.InterfaceName]; taken {
				return l.fail(s.Name, key+".interface_name", "%q is already the interface on network %q", n.InterfaceName, other)
			}
			interfaces[n.InterfaceName] = name
		}
		if err := l.checkStatic(s, name, "ipv4_address", n.Ipv4Address, true); err != nil {
			return err
		}
		if err := l.checkStatic(s, name, "ipv6_address", n.Ipv6Address, false); err != nil {
			return err
		}
	}
	return nil
}

func (l *loading) checkMAC(s types.ServiceConfig, key, mac string) error {
	if mac == "" {
		return nil
	}
	hw, err := net.ParseMAC(mac)
	if err != nil || len(hw) != 6 || hw[0]&1 != 0 {
		return l.fail(s.Name, key, "invalid MAC address %q", mac)
	}
	if s.GetScale() > 1 {
		return l.fail(s.Name, key, "cannot be set on a service with %d replicas", s.GetScale())
	}
	return nil
}

// checkStatic checks a fixed address against the subnets of its network.
func (l *loading) checkStatic(s types.ServiceConfig, network, field, address string, v4 bool) error {
	if address == "" {
		return nil
	}
	key := "networks." + network + "." + field
	a, err := parseAddress(address)
	if err != nil || a.Is4() != v4 {
		return l.fail(s.Name, key, "invalid address %q", address)
	}
	if s.GetScale() > 1 {
		return l.fail(s.Name, key, "a fixed address cannot be used by %d replicas", s.GetScale())
	}
	def := l.project.Networks[network]
	if bool(def.External) {
		return nil
	}
	subnets := 0
	for _, pool := range def.Ipam.Config {
		prefix, err := parsePrefix(pool.Subnet)
		if err != nil || prefix.Addr().Is4() != v4 {
			continue
		}
		if prefix.Contains(a) {
			return nil
		}
		subnets++
	}
	if subnets == 0 {
		return l.fail(s.Name, key, "network %q has no ipam subnet for it", network)
	}
	return l.fail(s.Name, key, "%s is in no subnet of network %q", a, network)
}

// checkModes checks which namespaces are shared.
func (l *loading) checkModes(s types.ServiceConfig) error {
	mode := s.NetworkMode
	switch {
	case mode == "" || mode == "none" || shares(mode):
	case mode == "host":
		if len(s.Ports) > 0 {
			return l.fail(s.Name, "ports", "cannot be published with network_mode: host")
		}
	case mode == "bridge" || mode == "default":
		return l.fail(s.Name, "network_mode", "%q is not supported yet", mode)
	default:
		return l.fail(s.Name, "network_mode", "unknown mode %q", mode)
	}
	if mode != "" && len(s.Networks) > 0 {
		return l.failAs(fmt.Sprintf("service %s declares mutually exclusive `network_mode` and `networks`: %v", s.Name, errInvalid), s.Name, "network_mode")
	}
	if shares(mode) {
		if key := ownNetworkKey(s); key != "" {
			return l.fail(s.Name, key, "cannot be set with network_mode: %s", mode)
		}
	}
	if s.Pid != "" && s.Pid != "host" && !shares(s.Pid) {
		return l.fail(s.Name, "pid", "unknown mode %q", s.Pid)
	}
	switch s.Ipc {
	case "", "private", "shareable", "none", "host":
	default:
		if !shares(s.Ipc) {
			return l.fail(s.Name, "ipc", "unknown mode %q", s.Ipc)
		}
	}
	for _, v := range []struct{ key, value string }{{"userns_mode", s.UserNSMode}, {"uts", s.Uts}} {
		if v.value != "" && v.value != "host" {
			return l.fail(s.Name, v.key, "unknown mode %q", v.value)
		}
	}
	return nil
}

// shares reports whether a namespace mode is another container's.
func shares(mode string) bool {
	for _, prefix := range []string{types.ServicePrefix, types.ContainerPrefix} {
		if rest, ok := strings.CutPrefix(mode, prefix); ok {
			return serviceForm.MatchString(rest)
		}
	}
	return false
}

// ownNetworkKey returns a key that only a service with a network of its own
// can have.
func ownNetworkKey(s types.ServiceConfig) string {
	switch {
	case len(s.Ports) > 0:
		return "ports"
	case len(s.Links) > 0:
		return "links"
	case len(s.DNS) > 0:
		return "dns"
	case len(s.ExtraHosts) > 0:
		return "extra_hosts"
	case s.Hostname != "":
		return "hostname"
	case s.MacAddress != "":
		return "mac_address"
	}
	return ""
}
