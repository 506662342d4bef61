package host

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/scheduler"
)

// networkMade is the key of the network that a step makes; "" for any other step.
func networkMade(n scheduler.Node) string {
	switch step := n.Step.(type) {
	case scheduler.CreateNetwork:
		return step.Key
	case scheduler.ReplaceNetwork:
		return step.Key
	}
	return ""
}

// checkNetworks defines the networks that the plan makes, and holds their
// subnets against what is there; then the addresses that the file gives
// services against their networks and the containers of other projects.
func (h *Host) checkNetworks(plan scheduler.Plan, services []string, all []engine.Container) error {
	made := map[string]netplan.Network{}
	var errs []error
	for _, node := range plan.Nodes {
		key := networkMade(node)
		if key == "" {
			continue
		}
		n, err := h.network(key)
		if err == nil {
			made[n.Name] = n
			err = h.networks.Check(n)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, service := range services {
		errs = append(errs, h.checkAddresses(service, made, all))
	}
	return errors.Join(errs...)
}

// checkAddresses checks the addresses that the file gives a service. Those of
// containers of this project may change hands in the same run.
func (h *Host) checkAddresses(service string, made map[string]netplan.Network, all []engine.Container) error {
	record, err := h.project.Record(service, 1)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range record.Networks {
		n, isNew := made[a.Network]
		if !isNew {
			if n, err = h.networks.Get(a.Network); err != nil {
				continue // whoever uses it says so
			}
		}
		for _, address := range []netip.Addr{a.Address.Addr(), a.Address6.Addr()} {
			if !address.IsValid() {
				continue
			}
			if _, err := n.Static(address); err != nil {
				errs = append(errs, fmt.Errorf("service %q: %w", service, err))
			}
			if name := holderOf(all, a.Network, address, h.project.Name); name != "" {
				errs = append(errs, fmt.Errorf("service %q: network %s: address %s is in use by container %s", service, a.Network, address, name))
			}
		}
	}
	return errors.Join(errs...)
}

// holderOf is the container of another project than own that has an address.
func holderOf(all []engine.Container, network string, address netip.Addr, own string) string {
	for _, c := range all {
		for _, a := range c.Record.Networks {
			if c.Record.Project != own && a.Network == network && (a.Address.Addr() == address || a.Address6.Addr() == address) {
				return c.Name
			}
		}
	}
	return ""
}
