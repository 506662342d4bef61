package engine

import (
	"os"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/compose-first/compose/internal/lock"
)

// What a killed build left is swept once nobody builds.
func TestSweepBuilds(t *testing.T) {
	ctx, cancel := contextOf(t, 30*time.Second)
	defer cancel()
	if err := os.MkdirAll(shared.cfg.Root.BuildkitRoot(), 0o700); err != nil {
		t.Fatal(err)
	}
	all := shared.conn.LeasesService()
	lease, err := all.Create(ctx, leases.WithRandomID(), leases.WithExpiration(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	spec, err := typeurl.MarshalAny(&specs.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	const id = "0123456789abcdefghijklmno"
	_, err = shared.containers.Create(ctx, containers.Container{ID: id, Spec: spec, Runtime: containers.RuntimeInfo{Name: "io.containerd.runc.v2"}})
	if err != nil {
		t.Fatal(err)
	}
	left := func() (n int) {
		if _, err := shared.containers.Get(ctx, id); err == nil {
			n++
		}
		if found, err := all.List(ctx, "id=="+lease.ID); err != nil {
			t.Fatal(err)
		} else {
			n += len(found)
		}
		return n
	}
	building, err := lock.Share(ctx, shared.cfg.Root.Lock(BuildLock))
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.SweepBuilds(ctx); err != nil || left() != 2 {
		t.Errorf("while somebody builds: %v, %d of 2 left", err, left())
	}
	building.Release()
	if err := shared.SweepBuilds(ctx); err != nil || left() != 0 {
		t.Errorf("when nobody builds: %v, %d left", err, left())
	}
}
