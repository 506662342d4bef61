package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/compose-first/compose/engine"
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
	all, err := h.Engine.Observe(ctx, "")
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	labelled, err := h.Engine.Labelled()
	if err != nil {
		return err
	}
	return errors.Join(
		h.volumes.Check(h.project, services, labelled),
		h.checkSpecs(ctx, services),
		h.checkNetworks(plan, services, all),
		h.checkPorts(ctx, services, all),
	)
}

// checkSpecs asks the engine whether it can give each service what that wants
// of its image and the host. Images that a plan is only shown for may not be there.
func (h *Host) checkSpecs(ctx context.Context, services []string) error {
	var errs []error
	for _, service := range services {
		image, err := h.imageFor(ctx, service)
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
		return networkMade(n) != ""
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
