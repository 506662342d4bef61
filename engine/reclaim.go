package engine

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/leases"
)

// Reclaim makes containerd free the disk space of what was removed, and
// returns when it has. By itself containerd does so after a hundred changes or
// so; the end of a lease is what a client can ask it by.
func (c *Client) Reclaim(ctx context.Context) error {
	manager := c.conn.LeasesService()
	lease, err := manager.Create(ctx, leases.WithRandomID())
	if err != nil {
		return fmt.Errorf("reclaim space: %w", edge(err))
	}
	if err := manager.Delete(context.WithoutCancel(ctx), lease, leases.SynchronousDelete); err != nil {
		return fmt.Errorf("reclaim space: %w", edge(err))
	}
	return nil
}
