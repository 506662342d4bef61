package host

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

// Check finds what would make a plan fail half way, before anything is
// changed: missing bind sources, files of secrets and external networks,
// users, devices and CPUs that are not there, taken ports, clashing subnets.
// All that it finds is in the one error.
func (h *Host) Check(ctx context.Context, plan scheduler.Plan) error {
	creates := creations(plan)
	if len(creates) == 0 && !makesNetwork(plan) {
		return nil
	}
	var services []string
	for _, c := range creates {
		services = append(services, c.Service)
	}
	slices.Sort(services)
	services = slices.Compact(services)
	return errors.Join(
		h.volumes.Check(h.project, services),
		h.checkSpecs(ctx, services),
		h.checkNetworks(plan),
		h.checkPorts(ctx, services),
	)
}

// checkSpecs asks the engine whether it can give each service what that wants
// of its image and the host. Images that a plan is only shown for may not be there.
func (h *Host) checkSpecs(ctx context.Context, services []string) error {
	var errs []error
	for _, service := range services {
		image, err := h.image(ctx, h.project, service)
		if errors.Is(err, engine.ErrNotFound) {
			continue
		}
		if err != nil {
			return edge(err)
		}
		record, err := h.project.Record(service, 1)
		if err != nil {
			return err
		}
		cfg := engine.CreateConfig{
			ID: engine.NewID(), Service: h.project.Services[service], Record: record,
			Labels: h.project.ContainerLabels(service), Image: image,
		}
		if h.options.Adjust != nil {
			h.options.Adjust(&cfg)
		}
		err = h.checkJoins(ctx, record)
		if err == nil {
			err = h.Engine.Check(ctx, cfg)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("service %q: %w", service, err))
		}
	}
	return errors.Join(errs...)
}

func creations(plan scheduler.Plan) []scheduler.Create {
	var creates []scheduler.Create
	for _, n := range plan.Nodes {
		if c, ok := n.Step.(scheduler.CreateContainer); ok {
			creates = append(creates, c.Create)
		}
	}
	return creates
}

func makesNetwork(plan scheduler.Plan) bool {
	return slices.ContainsFunc(plan.Nodes, func(n scheduler.Node) bool {
		_, ok := n.Step.(scheduler.CreateNetwork)
		return ok
	})
}

// checkJoins looks for the containers that a record names as owners of
// namespaces. Those of services come with the plan.
func (h *Host) checkJoins(ctx context.Context, r project.Record) error {
	for _, mode := range []string{r.NetworkMode, r.PIDMode, r.IPCMode} {
		name, ok := strings.CutPrefix(mode, containerMode)
		if !ok {
			continue
		}
		if _, err := h.anyNamed(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", mode, err)
		}
	}
	return nil
}

// checkNetworks defines the networks that the plan makes, and holds the
// subnets that the file gives them against what is there.
func (h *Host) checkNetworks(plan scheduler.Plan) error {
	var errs []error
	for _, node := range plan.Nodes {
		step, ok := node.Step.(scheduler.CreateNetwork)
		if !ok {
			continue
		}
		n, err := h.network(step.Key)
		if err == nil {
			err = h.checkSubnets(n)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// checkSubnets refuses a subnet of the file that overlaps another network's or
// a route of the host.
func (h *Host) checkSubnets(n netplan.Network) error {
	if len(n.Pools) == 0 {
		return nil
	}
	if _, err := h.networks.Get(n.Name); err == nil {
		return nil
	}
	routes, err := netplan.HostRoutes()
	if err != nil {
		return err
	}
	list, err := h.networks.List()
	if err != nil {
		return err
	}
	for _, pool := range n.Pools {
		for _, other := range list {
			for _, p := range other.Pools {
				if p.Subnet.Overlaps(pool.Subnet) {
					return fmt.Errorf("network %s: subnet %s overlaps %s of network %s: choose another, or remove that network",
						n.Name, pool.Subnet, p.Subnet, other.Name)
				}
			}
		}
		if i := slices.IndexFunc(routes, func(r netip.Prefix) bool { return r.Bits() > 0 && r.Overlaps(pool.Subnet) }); i >= 0 {
			return fmt.Errorf("network %s: subnet %s overlaps the route to %s of this host: choose another", n.Name, pool.Subnet, routes[i])
		}
	}
	return nil
}

// checkPorts holds the fixed ports of services that are to get containers
// against those of all other containers and of other processes.
func (h *Host) checkPorts(ctx context.Context, services []string) error {
	all, err := h.Engine.Observe(ctx, "")
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
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
