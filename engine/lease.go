package engine

import (
	"context"
	"regexp"
	"time"

	"github.com/containerd/containerd/v2/core/leases"
)

// clientLease is how long a client of containerd that asks for nothing else
// has its lease. Source: containerd, client/lease.go.
const clientLease = 24 * time.Hour

// labelImages is on the leases under which compose itself fetches and unpacks
// images, so that they are not taken for what others left.
const labelImages = "compose.images"

// gcExpire is the label with the time at which containerd drops a lease.
// Source: containerd, core/leases, WithExpiration.
const gcExpire = "containerd.io/gc.expire"

// leaseImages keeps what is fetched and unpacked with the context that it
// returns until an image names it, or done is called.
func (c *Client) leaseImages(ctx context.Context) (leased context.Context, done func(), err error) {
	leased, release, err := c.conn.WithLease(ctx, leases.WithRandomID(), leases.WithExpiration(clientLease), leases.WithLabel(labelImages, "true"))
	if err != nil {
		return nil, nil, edge(err)
	}
	return leased, func() { _ = release(context.WithoutCancel(ctx)) }, nil // it expires
}

// randomLease is the ID of a lease for which a client has chosen none.
// Source: containerd, core/leases, WithRandomID.
var randomLease = regexp.MustCompile(`^\d+-[0-9A-Za-z_-]{4}$`)

// isClientLease tells whether a lease is one that containerd's client took by
// itself, as for a container that it makes, and none of ours.
func isClientLease(l leases.Lease) bool {
	expires, err := time.Parse(time.RFC3339, l.Labels[gcExpire])
	if err != nil || len(l.Labels) != 1 || !randomLease.MatchString(l.ID) {
		return false
	}
	return expires.Sub(l.CreatedAt).Round(time.Minute) == clientLease
}
