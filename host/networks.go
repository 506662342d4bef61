package host

import (
	"context"
	"fmt"
	"slices"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/scheduler"
)

// CreateNetwork makes the network of a key.
func (h *Host) CreateNetwork(ctx context.Context, key string) error {
	n, err := h.network(key)
	if err != nil {
		return err
	}
	_, err = h.net.Create(ctx, n)
	return err
}

// network is the definition of a key of the file.
func (h *Host) network(key string) (netplan.Network, error) {
	return netplan.Define(h.project.Name, key, h.project.NetworkHash(key), h.project.Networks[key])
}

// ReplaceNetwork makes a network anew after its definition has changed.
func (h *Host) ReplaceNetwork(ctx context.Context, key string) error {
	if err := h.deleteNetwork(ctx, h.project.NetworkName(key)); gone(err) != nil {
		return err
	}
	return h.CreateNetwork(ctx, key)
}

// RemoveNetwork removes a network that no container is on.
func (h *Host) RemoveNetwork(ctx context.Context, name string) error {
	all, err := h.Engine.Observe(ctx, "")
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	if slices.ContainsFunc(all, func(c engine.Container) bool { return onNetwork(c, name) }) {
		return scheduler.ErrInUse
	}
	return edge(h.deleteNetwork(ctx, name))
}

func onNetwork(c engine.Container, name string) bool {
	for _, a := range c.Record.Networks {
		if a.Network == name {
			return true
		}
	}
	return false
}

// deleteNetwork takes a network out of the kernel, then its record.
func (h *Host) deleteNetwork(ctx context.Context, name string) error {
	n, err := h.networks.Get(name)
	if err != nil {
		return err
	}
	if err := h.net.Delete(ctx, n); err != nil {
		return err
	}
	return h.networks.Delete(name)
}
