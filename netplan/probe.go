package netplan

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// Trial is a feature of the kernel that networks need, and why it cannot be had.
type Trial struct {
	Feature string
	Err     error // nil: it can
}

// Probe tries what networks need of the kernel, in a network namespace of its
// own that is gone afterwards.
func Probe() []Trial {
	var inside []Trial
	err := inNetns(-1, func() error {
		inside = []Trial{
			{"bridge", tryLink(&netlink.Bridge{LinkAttrs: attributes("probe0")})},
			{"veth", tryLink(&netlink.Veth{LinkAttrs: attributes("probe1"), PeerName: "probe2"})},
			{"nftables", tryRules()},
		}
		return nil
	})
	return append([]Trial{{"network namespaces", err}}, inside...)
}

func attributes(name string) netlink.LinkAttrs {
	a := netlink.NewLinkAttrs()
	a.Name = name
	return a
}

func tryLink(l netlink.Link) error {
	if err := netlink.LinkAdd(l); err != nil {
		return fmt.Errorf("make a %s: %w", l.Type(), err)
	}
	return nil
}

// tryRules puts in the very table that an engine has.
func tryRules() error {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	err = newTable("probe").install(c)
	if err == nil {
		err = c.Flush()
	}
	if err := errors.Join(err, c.CloseLasting()); err != nil {
		return fmt.Errorf("set nftables rules: %w", err)
	}
	return nil
}
