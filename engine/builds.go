package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/leases"

	"github.com/compose-first/compose/internal/lock"
)

// BuildLock names the lock that commands share which build images: who has it
// alone knows that nobody builds.
const BuildLock = "build"

// buildContainers finds the containers in which BuildKit runs the steps of a
// build. Source: github.com/moby/buildkit, identity.NewID, 25 digits of base 36.
const buildContainers = `id~=^[0-9a-z]{25}$`

// leaseLead is how long before its container a client of containerd takes the
// lease under which it asks for it.
const leaseLead = 10 * time.Second

// SweepBuilds takes away what BuildKit left of builds whose command was killed.
// It gives up on a step while containerd makes the container or the task for it:
// of that it never hears then, nor does it give back the lease that it took for
// that. While anybody builds, all stays; when nobody does, a step that still
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
	return nil
}

// removeBuildContainer removes a container of BuildKit, its task and its lease.
// The container goes last: the others are found by it.
func (c *Client) removeBuildContainer(ctx context.Context, r containers.Container) error {
	if err := c.endTask(ctx, r.ID); err != nil {
		return err
	}
	all, err := c.conn.LeasesService().List(ctx)
	if err != nil {
		return edge(err)
	}
	for _, l := range all {
		if err := c.removeLeaseOf(ctx, r, l); err != nil {
			return err
		}
	}
	if err := edge(c.containers.Delete(ctx, r.ID)); err != nil && !isNotFound(err) {
		return err
	}
	return nil
}

// removeLeaseOf removes a lease if it was taken to make a container: it was
// taken just before, expires by itself, and holds nothing.
func (c *Client) removeLeaseOf(ctx context.Context, r containers.Container, l leases.Lease) error {
	lead := r.CreatedAt.Sub(l.CreatedAt)
	if _, expires := l.Labels["containerd.io/gc.expire"]; !expires || lead < 0 || lead > leaseLead {
		return nil
	}
	held, err := c.conn.LeasesService().ListResources(ctx, l)
	if err = edge(err); err != nil && !isNotFound(err) {
		return err
	}
	if err != nil || len(held) > 0 {
		return nil
	}
	if err := edge(c.conn.LeasesService().Delete(ctx, l)); err != nil && !isNotFound(err) {
		return err
	}
	return nil
}
