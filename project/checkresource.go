package project

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

func (l *loading) checkNetworks(context.Context) error {
	if l.NoInterpolate {
		return nil
	}
	if err := l.checkExternals("networks"); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(l.project.Networks)) {
		n := l.project.Networks[key]
		if err := checkPathName("network", l.project.NetworkName(key)); err != nil {
			return l.failTop("networks."+key, "%v", err)
		}
		switch {
		case bool(n.External):
			continue
		case n.Driver == "" || n.Driver == "bridge":
		case slices.Contains([]string{"macvlan", "ipvlan", "host", "none"}, n.Driver):
			return l.failTop("networks."+key+".driver", "driver %q is not supported yet", n.Driver)
		default:
			return l.failTop("networks."+key+".driver", "unknown driver %q", n.Driver)
		}
		if asMap(asMap(l.model["networks"])[key])["attachable"] == false {
			l.warn("network %q: attachable: false does nothing on one host", key)
		}
		for _, name := range slices.Sorted(maps.Keys(n.DriverOpts)) {
			if !slices.Contains(NetworkOptions, name) {
				l.warn("network %q: driver_opts: %q is not honoured", key, name)
			}
		}
		if d := n.Ipam.Driver; d != "" && d != "default" {
			return l.failTop("networks."+key+".ipam.driver", "unknown driver %q", d)
		}
		for i, pool := range n.Ipam.Config {
			if pool == nil {
				continue
			}
			if at, err := checkPool(*pool); err != nil {
				return l.failTop(fmt.Sprintf("networks.%s.ipam.config[%d]%s", key, i, at), "%v", err)
			}
		}
		if err := l.checkTopLabels("networks."+key, n.Labels); err != nil {
			return err
		}
	}
	return nil
}

// checkPool checks one subnet of a network; at is the key that is wrong.
func checkPool(pool types.IPAMPool) (at string, err error) {
	var subnet netip.Prefix
	if pool.Subnet != "" {
		if subnet, err = parsePrefix(pool.Subnet); err != nil {
			return ".subnet", err
		}
	}
	inside := func(a netip.Addr) bool { return !subnet.IsValid() || subnet.Contains(a) }
	if pool.IPRange != "" {
		r, err := parsePrefix(pool.IPRange)
		if err != nil {
			return ".ip_range", err
		}
		if !inside(r.Addr()) || subnet.IsValid() && r.Bits() < subnet.Bits() {
			return ".ip_range", fmt.Errorf("%s is not within subnet %s", r, subnet)
		}
	}
	if pool.Gateway != "" {
		a, err := parseAddress(pool.Gateway)
		if err != nil {
			return ".gateway", err
		}
		if !inside(a) {
			return ".gateway", fmt.Errorf("%s is not within subnet %s", a, subnet)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pool.AuxiliaryAddresses)) {
		a, err := parseAddress(pool.AuxiliaryAddresses[name])
		if err != nil {
			return ".aux_addresses." + name, err
		}
		if !inside(a) {
			return ".aux_addresses." + name, fmt.Errorf("%s is not within subnet %s", a, subnet)
		}
	}
	return "", nil
}

// parsePrefix reads a subnet and drops its host bits.
func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("invalid subnet %q: not in CIDR form", s)
	}
	return p.Masked(), nil
}

// resolveDevices makes the folder that a volume is a bind of a whole path.
// compose-go does so only where the driver is written out.
func (l *loading) resolveDevices(context.Context) error {
	for _, v := range l.project.Volumes {
		device, set := v.DriverOpts["device"]
		options := strings.Split(v.DriverOpts["o"], ",")
		bind := slices.Contains(options, "bind") || slices.Contains(options, "rbind")
		if !set || !bind || device == "" || path.IsAbs(device) {
			continue
		}
		if home := l.env["HOME"]; home != "" && (device == "~" || strings.HasPrefix(device, "~/")) {
			v.DriverOpts["device"] = path.Join(home, device[1:])
		} else {
			v.DriverOpts["device"] = path.Join(l.project.WorkingDir, device)
		}
	}
	return nil
}

func (l *loading) checkVolumes(context.Context) error {
	if l.NoInterpolate {
		return nil
	}
	if err := l.checkExternals("volumes"); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(l.project.Volumes)) {
		v := l.project.Volumes[key]
		if err := checkPathName("volume", l.project.VolumeName(key)); err != nil {
			return l.failTop("volumes."+key, "%v", err)
		}
		if v.Driver != "" && v.Driver != "local" && !bool(v.External) {
			return l.failTop("volumes."+key+".driver", "unknown driver %q", v.Driver)
		}
		if err := l.checkTopLabels("volumes."+key, v.Labels); err != nil {
			return err
		}
	}
	return nil
}

func (l *loading) checkTopLabels(key string, labels types.Labels) error {
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if strings.HasPrefix(name, reservedLabels) {
			return l.failTop(key+".labels", "label %q: the prefix %s is reserved", name, reservedLabels)
		}
	}
	return nil
}

// checkFileObjects checks the top-level secrets and configs. That each has
// one source has been checked with the schema.
func (l *loading) checkFileObjects(context.Context) error {
	if l.NoInterpolate {
		return nil
	}
	for _, section := range []string{"secrets", "configs"} {
		if err := l.checkExternals(section); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.project.Secrets)) {
		if err := checkPathName("secret", key); err != nil {
			return l.failTop("secrets."+key, "%v", err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.project.Configs)) {
		if err := checkPathName("config", key); err != nil {
			return l.failTop("configs."+key, "%v", err)
		}
	}
	return nil
}

// checkExternals checks that external resources have no definition.
func (l *loading) checkExternals(section string) error {
	resources, _ := l.model[section].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(resources)) {
		def, _ := resources[key].(map[string]any)
		if external, _ := def["external"].(bool); !external {
			continue
		}
		for _, k := range slices.Sorted(maps.Keys(def)) {
			if k != "name" && k != "external" && k[0] != '#' && !strings.HasPrefix(k, "x-") {
				return l.failTop(section+"."+key+"."+k, "conflicting parameters \"external\" and %q specified", k)
			}
		}
	}
	return nil
}

// checkPublished finds host ports that two services, or one service for two
// of its ports, want.
func (l *loading) checkPublished(context.Context) error {
	type claim struct {
		ip      netip.Addr
		service string
	}
	type number struct {
		port  uint16
		proto string
	}
	taken := map[number][]claim{}
	for _, name := range slices.Sorted(maps.Keys(l.project.Services)) {
		s := l.project.Services[name]
		for i, config := range s.Ports {
			key := fmt.Sprintf("ports[%d]", i)
			port, err := parsePort(config)
			if err != nil || port.Published == 0 {
				continue
			}
			if port.PublishedEnd != 0 {
				if count := int(port.PublishedEnd-port.Published) + 1; s.GetScale() > count {
					return l.fail(name, key, "%d replicas need a port each, and %d-%d are %d", s.GetScale(), port.Published, port.PublishedEnd, count)
				}
				continue
			}
			if port.Mode == "host" && s.GetScale() > 1 {
				return l.fail(name, key, "host port %d in mode host cannot be bound by %d replicas", port.Published, s.GetScale())
			}
			n := number{port.Published, port.Protocol}
			for _, c := range taken[n] {
				if overlap(c.ip, port.HostIP) {
					return l.fail(name, key, "host port %d/%s is already published by service %q", n.port, n.proto, c.service)
				}
			}
			taken[n] = append(taken[n], claim{port.HostIP, name})
		}
	}
	return nil
}

// checkAddresses finds fixed addresses of a network that two services want.
func (l *loading) checkAddresses(context.Context) error {
	taken := map[string]string{} // service by network and address
	for _, name := range slices.Sorted(maps.Keys(l.project.Services)) {
		networks := l.project.Services[name].Networks
		for _, key := range slices.Sorted(maps.Keys(networks)) {
			n := networks[key]
			if n == nil {
				continue
			}
			for field, text := range map[string]string{"ipv4_address": n.Ipv4Address, "ipv6_address": n.Ipv6Address} {
				a, err := parseAddress(text)
				if err != nil {
					continue // none, or checkStatic has said so
				}
				at := key + " " + a.String()
				if other, ok := taken[at]; ok {
					return l.fail(name, "networks."+key+"."+field, "%s is already the address of service %q", a, other)
				}
				taken[at] = name
			}
		}
	}
	return nil
}

// overlap reports whether sockets on a and b would collide; the zero address
// is every local one.
func overlap(a, b netip.Addr) bool {
	switch {
	case !a.IsValid() || !b.IsValid() || a == b:
		return true
	case a.Is4() != b.Is4():
		return false
	}
	return a.IsUnspecified() || b.IsUnspecified()
}
