package netplan

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/compose-first/compose/project"
	"github.com/compose-spec/compose-go/v2/types"
)

// Driver options of a bridge network.
// Source: Compose files in use name Docker's bridge driver options.
const (
	optionBridge      = "com.docker.network.bridge.name"
	optionICC         = "com.docker.network.bridge.enable_icc"
	optionMasquerade  = "com.docker.network.bridge.enable_ip_masquerade"
	optionHostBinding = "com.docker.network.bridge.host_binding_ipv4"
	optionGateway4    = "com.docker.network.bridge.gateway_mode_ipv4"
	optionGateway6    = "com.docker.network.bridge.gateway_mode_ipv6"
	optionMTU         = "com.docker.network.driver.mtu"
	optionPrefix      = "com.docker.network.container_iface_prefix"
)

// checks holds what the values of the options that project knows must be.
var checks = map[string]func(string) error{
	optionBridge:      checkInterface,
	optionICC:         checkBool,
	optionMasquerade:  checkBool,
	optionHostBinding: func(v string) error { _, err := netip.ParseAddr(v); return err },
	optionGateway4:    checkGatewayMode,
	optionGateway6:    checkGatewayMode,
	optionMTU:         checkMTU,
	optionPrefix:      func(v string) error { return checkInterface(v + "999") },
}

// Bounds of an MTU in bytes.
// Source: RFC 791 (68), and Linux ETH_MAX_MTU (65,535).
const (
	minMTU = 68
	maxMTU = 65535
)

// Define turns a network of the Compose file into a Network and checks it: an
// error names the network and the key. hash is that of its definition. Pools
// stay empty where the file gives no subnet: Store.Create chooses them. ID and
// Created are new each time; all else follows from the arguments. An external
// network comes back with its Name and Key alone, since its record is another's.
func Define(projectName, key, hash string, def types.NetworkConfig) (Network, error) {
	n := Network{Key: key, Name: def.Name}
	if n.Name == "" {
		n.Name = projectName + "_" + key
	}
	if err := checkName(n.Name); err != nil {
		return Network{}, err
	}
	if def.External {
		return n, nil
	}
	n.Project = projectName
	n.Driver = def.Driver
	if n.Driver == "" || n.Driver == "default" {
		n.Driver = DriverBridge
	}
	n.Internal = def.Internal
	n.EnableIPv4 = def.EnableIPv4 == nil || *def.EnableIPv4
	n.EnableIPv6 = def.EnableIPv6 != nil && *def.EnableIPv6
	n.Options = maps.Clone(map[string]string(def.DriverOpts))
	if err := n.complete(def.Ipam); err != nil {
		return Network{}, fmt.Errorf("network %s: %w", key, err)
	}
	n.ConfigHash = hash
	n.Labels = map[string]string{}
	maps.Copy(n.Labels, def.Labels)
	maps.Copy(n.Labels, def.CustomLabels)
	n.Labels[project.LabelProject] = projectName
	n.Labels[project.LabelNetwork] = key
	n.Labels[project.LabelConfigHash] = n.ConfigHash
	n.Created = time.Now().UTC()
	return n, nil
}

// InterfacePrefix returns what the names of container interfaces begin with,
// where the service does not name them: "eth".
func (n Network) InterfacePrefix() string {
	if p := n.Options[optionPrefix]; p != "" {
		return p
	}
	return "eth"
}

// HostBinding returns the address that ports of the network's containers are
// published on, where the service names none; zero: every one.
func (n Network) HostBinding() netip.Addr {
	a, _ := netip.ParseAddr(n.Options[optionHostBinding])
	return a
}

// complete checks driver, options and pools, and fills in what follows from them.
func (n *Network) complete(ipam types.IPAMConfig) error {
	switch n.Driver {
	case DriverHost, DriverNone:
		return nil
	case DriverBridge:
	default:
		return fmt.Errorf("driver %q is unknown (there are bridge, host and none)", n.Driver)
	}
	if !n.EnableIPv4 && !n.EnableIPv6 {
		return fmt.Errorf("enable_ipv4 and enable_ipv6 are both false")
	}
	for _, name := range slices.Sorted(maps.Keys(n.Options)) {
		if check := checks[name]; check != nil {
			if err := check(n.Options[name]); err != nil {
				return fmt.Errorf("driver_opts: %s: %w", name, err)
			}
		}
	}
	id := make([]byte, 6)
	if _, err := rand.Read(id); err != nil {
		return fmt.Errorf("make an id: %w", err)
	}
	n.ID = hex.EncodeToString(id)
	if n.Bridge = n.Options[optionBridge]; n.Bridge == "" {
		n.Bridge = generatedName(n.ID)
	}
	n.MTU, _ = strconv.Atoi(n.Options[optionMTU])
	if ipam.Driver != "" && ipam.Driver != "default" {
		return fmt.Errorf("ipam driver %q is unknown (there is default)", ipam.Driver)
	}
	return n.addPools(ipam.Config)
}

// generatedName is a bridge's name where the file gives none.
func generatedName(id string) string { return "cb" + id }

func (n *Network) addPools(pools []*types.IPAMPool) error {
	for _, c := range pools {
		if c == nil || c.Subnet == "" {
			continue // a pool with nothing but extensions: chosen like an absent one
		}
		p, err := parsePool(c)
		if err != nil {
			return fmt.Errorf("ipam: %w", err)
		}
		six := p.Subnet.Addr().Is6()
		if six && !n.EnableIPv6 || !six && !n.EnableIPv4 {
			continue // a subnet of a family that is off
		}
		if _, ok := n.pool(six); ok {
			return fmt.Errorf("ipam: a second subnet of one address family, %s", p.Subnet)
		}
		n.Pools = append(n.Pools, p)
	}
	return nil
}

func parsePool(c *types.IPAMPool) (Pool, error) {
	subnet, err := netip.ParsePrefix(c.Subnet)
	if err != nil {
		return Pool{}, fmt.Errorf("subnet %q is not in CIDR form", c.Subnet)
	}
	p := Pool{Subnet: subnet.Masked()}
	p.Gateway = p.Subnet.Addr().Next()
	if c.Gateway != "" {
		if p.Gateway, err = netip.ParseAddr(c.Gateway); err != nil {
			return Pool{}, fmt.Errorf("gateway %q is not an address", c.Gateway)
		}
	}
	if c.IPRange != "" {
		r, err := netip.ParsePrefix(c.IPRange)
		if err != nil {
			return Pool{}, fmt.Errorf("ip_range %q is not in CIDR form", c.IPRange)
		}
		p.Range = r.Masked()
		if c.Gateway == "" && p.Range.Contains(p.Gateway) && p.Range == p.Subnet {
			p.Range = netip.Prefix{}
		}
	}
	for name, text := range c.AuxiliaryAddresses {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return Pool{}, fmt.Errorf("aux_addresses: %s: %q is not an address", name, text)
		}
		if p.Aux == nil {
			p.Aux = map[string]netip.Addr{}
		}
		p.Aux[name] = a
	}
	return p, p.check()
}

// option reports whether a boolean driver option is on.
func (n Network) option(name string, byDefault bool) bool {
	v, ok := n.Options[name]
	if !ok {
		return byDefault
	}
	on, err := strconv.ParseBool(v)
	return on && err == nil
}

// namePattern is what a network may be called: the name is a file's, and stands in messages.
var namePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// longestName is in bytes. A bound within the pattern would be a copy of its
// end for each of them, compiled at every start.
const longestName = 200

func checkName(name string) error {
	if len(name) > longestName || !namePattern.MatchString(name) {
		return fmt.Errorf("network name %q: letters, digits, '_', '.' and '-' only, a letter or digit first, at most %d", name, longestName)
	}
	return nil
}

// interfacePattern leaves out what the kernel refuses and what needs escaping.
var interfacePattern = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,14}$`)

// checkInterface returns an error when the kernel would not take name.
// Source: Linux IFNAMSIZ: 16 bytes with the closing zero.
func checkInterface(name string) error {
	if !interfacePattern.MatchString(name) {
		return fmt.Errorf("interface name %q: letters, digits, '_', '.' and '-' only, at most 15", name)
	}
	return nil
}

func checkBool(v string) error {
	if _, err := strconv.ParseBool(v); err != nil {
		return fmt.Errorf("%q is neither true nor false", v)
	}
	return nil
}

func checkGatewayMode(v string) error {
	if !slices.Contains([]string{"nat", "nat-unprotected", "routed", "isolated"}, v) {
		return fmt.Errorf("%q is not nat, nat-unprotected, routed or isolated", v)
	}
	return nil
}

func checkMTU(v string) error {
	if mtu, err := strconv.Atoi(v); err != nil || mtu < minMTU || mtu > maxMTU {
		return fmt.Errorf("%q is not a number from %d to %d", v, minMTU, maxMTU)
	}
	return nil
}
