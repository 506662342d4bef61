package host

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/project"
)

// checkPorts holds the fixed ports of services that are to get containers
// against those of all other containers and of other processes.
func (h *Host) checkPorts(ctx context.Context, services []string, all []engine.Container) error {
	var errs []error
	for _, service := range services {
		record, err := h.project.Record(service, 1)
		if err != nil {
			return err
		}
		fixed := slices.DeleteFunc(slices.Clone(record.Ports), func(p project.Port) bool {
			return p.Published == 0 || p.PublishedEnd != 0
		})
		if len(fixed) == 0 {
			continue
		}
		fixed, err = h.portsOfOthers(service, fixed, all)
		errs = append(errs, err)
		if err := h.net.CheckPorts(ctx, fixed, h.project.Name+"/"+service); err != nil {
			errs = append(errs, fmt.Errorf("service %q: %w", service, err))
		}
	}
	return errors.Join(errs...)
}

// portsOfOthers returns the ports that no running container of another service
// publishes and that this service does not publish already, and an error for
// the former.
func (h *Host) portsOfOthers(service string, ports []project.Port, all []engine.Container) (free []project.Port, err error) {
	var errs []error
	for _, port := range ports {
		mine := false
		for _, c := range all {
			if c.PID == 0 && c.State != engine.StateRestarting {
				continue
			}
			if !slices.ContainsFunc(c.Record.Ports, func(p project.Port) bool { return clash(p, port) }) {
				continue
			}
			if c.Record.Project == h.project.Name && c.Record.Service == service {
				mine = true
				continue
			}
			if c.Record.Project == h.project.Name {
				continue // its port may be about to change in the same run; project checks the file against itself
			}
			if mine { // one that has it is enough to name
				continue
			}
			errs = append(errs, fmt.Errorf("service %q: port is already allocated: %d/%s is published by container %s of project %s",
				service, port.Published, port.Protocol, c.Name, c.Record.Project))
			mine = true
		}
		if !mine {
			free = append(free, port)
		}
	}
	return free, errors.Join(errs...)
}

// clash says whether two published ports are one port of this machine.
func clash(a, b project.Port) bool {
	return a.Published == b.Published && a.Protocol == b.Protocol &&
		(a.HostIP == b.HostIP || unspecified(a.HostIP) || unspecified(b.HostIP))
}

func unspecified(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() }
