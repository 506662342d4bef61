package engine

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/containers"

	"github.com/compose-first/compose/internal/lock"
)

// BuildLock names the lock that commands share which build images: who has it
// alone knows that nobody builds.
const BuildLock = "build"

// buildContainers finds the containers in which BuildKit runs the steps of a
// build. Source: github.com/moby/buildkit, identity.NewID, 25 digits of base 36.
const buildContainers = `id~=^[0-9a-z]{25}$`

// SweepBuilds takes away what BuildKit left of builds whose command was killed.
// It gives up on a step while containerd makes the container or the task for it:
// of that it never hears then, nor does it give back the lease that its client
// took for that, whether or not there came to be a container. While anybody builds, all stays; when nobody does, a step that still
// runs is one that BuildKit is about to end.
func (c *Client) SweepBuilds(ctx context.Context) error {
	if !exists(c.cfg.Root.BuildkitRoot()) {
		return nil
	}
	alone, err := lock.Try(c.cfg.Root.Lock(BuildLock), "sweep builds")
	if err != nil {
		return nil
	}
	defer alone.Release()
	left, err := c.listContainers(ctx, buildContainers)
	if err != nil {
		return fmt.Errorf("look for what killed builds left: %w", edge(err))
	}
	for _, r := range left {
		if err := c.removeBuildContainer(ctx, r); err != nil {
			return fmt.Errorf("remove what a killed build left, container %s: %w", r.ID, err)
		}
	}
	if err := c.removeClientLeases(ctx); err != nil {
		return fmt.Errorf("remove leases of killed builds: %w", err)
	}
	return nil
}

// removeBuildContainer removes a container of BuildKit and its task. The
// container goes last: the task is found by it.
func (c *Client) removeBuildContainer(ctx context.Context, r containers.Container) error {
	if err := c.endTask(ctx, r.ID); err != nil {
		return err
	}
	if err := edge(c.containers.Delete(ctx, r.ID)); err != nil && !isNotFound(err) {
		return err
	}
	return nil
}

// removeClientLeases removes the leases that hold nothing of those that clients
// other than compose took by themselves.
func (c *Client) removeClientLeases(ctx context.Context) error {
	all, err := c.conn.LeasesService().List(ctx)
	if err != nil {
		return edge(err)
	}
	for _, l := range all {
		if !isClientLease(l) {
			continue
		}
		if held, err := c.conn.LeasesService().ListResources(ctx, l); isNotFound(edge(err)) || len(held) > 0 {
			continue
		} else if err != nil {
			return edge(err)
		}
		if err := edge(c.conn.LeasesService().Delete(ctx, l)); err != nil && !isNotFound(err) {
			return err
		}
	}
	return nil
}
