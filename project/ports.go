package project

import (
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// parsePort reads a port of a service, whose ranges of container ports have
// been expanded.
func parsePort(c types.ServicePortConfig) (Port, error) {
	p := Port{Protocol: strings.ToLower(c.Protocol)}
	switch {
	case c.Target == 0 || c.Target > 65535:
		return Port{}, fmt.Errorf("invalid target port %d: not 1 to 65535", c.Target)
	case p.Protocol == "":
		p.Protocol = "tcp"
	case p.Protocol == "sctp":
		return Port{}, fmt.Errorf("protocol sctp is not supported yet")
	case p.Protocol != "tcp" && p.Protocol != "udp":
		return Port{}, fmt.Errorf("unknown protocol %q: tcp or udp", c.Protocol)
	}
	p.Target = uint16(c.Target)
	switch c.Mode {
	case "", "ingress":
	case "host":
		p.Mode = "host"
	default:
		return Port{}, fmt.Errorf("unknown mode %q: ingress or host", c.Mode)
	}
	if c.HostIP != "" {
		ip, err := parseAddress(c.HostIP)
		if err != nil {
			return Port{}, err
		}
		p.HostIP = ip
	}
	if c.Published == "" || c.Published == "0" {
		return p, nil
	}
	lo, hi, err := parsePortRange(c.Published)
	if err != nil {
		return Port{}, fmt.Errorf("published: %w", err)
	}
	p.Published = lo
	if hi != lo {
		p.PublishedEnd = hi
	}
	return p, nil
}

// parseExpose reads "80", "80/udp" or "80-82/tcp" as "80/tcp" each.
func parseExpose(text string) ([]string, error) {
	ports, proto, given := strings.Cut(text, "/")
	proto = strings.ToLower(proto)
	switch {
	case !given:
		proto = "tcp"
	case proto != "tcp" && proto != "udp" && proto != "sctp":
		return nil, fmt.Errorf("unknown protocol %q", proto)
	}
	lo, hi, err := parsePortRange(ports)
	if err != nil {
		return nil, err
	}
	var list []string
	for p := int(lo); p <= int(hi); p++ {
		list = append(list, fmt.Sprintf("%d/%s", p, proto))
	}
	return list, nil
}
