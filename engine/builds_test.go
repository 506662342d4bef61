package engine

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/containerd/containerd/api/types/runc/options"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"

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
	_, _, err := shared.conn.WithLease(ctx) // as a client does that makes a container, and is cut off
	if err != nil {
		t.Fatal(err)
	}
	_, done, err := shared.leaseImages(ctx) // a pull of ours that has just begun
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	labelled, err := all.Create(ctx, leases.WithRandomID(), leases.WithExpiration(clientLease), leases.WithLabel("buildkit/lease.temporary", "now"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = all.Delete(context.WithoutCancel(ctx), labelled) }()
	ids := []string{"0123456789abcdefghijklmno", "1123456789abcdefghijklmno", "2123456789abcdefghijklmno"}
	for i, id := range ids {
		buildStep(t, id, i) // no task, one that was made, one that runs
	}
	left := func() (n int) {
		for _, id := range ids {
			if _, err := shared.containers.Get(ctx, id); err == nil {
				n++
			}
			if task, err := shared.getTask(ctx, id); err != nil {
				t.Fatal(err)
			} else if task != nil {
				n++
			}
		}
		found, err := all.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range found {
			if isClientLease(l) {
				n++
			}
		}
		return n
	}
	building, err := lock.Share(ctx, shared.cfg.Root.Lock(BuildLock))
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.SweepBuilds(ctx); err != nil || left() != 6 {
		t.Errorf("while somebody builds: %v, %d of 6 left", err, left())
	}
	building.Release()
	if err := shared.SweepBuilds(ctx); err != nil || left() != 0 {
		t.Errorf("when nobody builds: %v, %d left", err, left())
	}
	for filter, want := range map[string]int{"labels.\"" + labelImages + "\"": 1, "id==" + labelled.ID: 1} {
		if found, err := all.List(ctx, filter); err != nil || len(found) != want {
			t.Errorf("leases of others, %s: %d, %v", filter, len(found), err)
		}
	}
}

// buildStep makes a container as BuildKit does for a step, and so much of its
// task: nothing, made, running.
func buildStep(t *testing.T, id string, stage int) {
	t.Helper()
	ctx := namespaces.WithNamespace(t.Context(), Namespace)
	image, err := shared.conn.GetImage(ctx, testImage)
	if err != nil {
		t.Fatal(err)
	}
	c, err := shared.conn.NewContainer(ctx, id,
		containerd.WithNewSnapshot(id, image),
		containerd.WithNewSpec(oci.WithImageConfig(image), oci.WithProcessArgs("sleep", "1000")),
		containerd.WithRuntime("io.containerd.runc.v2", &options.Options{BinaryName: shared.cfg.RuncPath}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := edge(shared.snapshots.Remove(context.WithoutCancel(ctx), id))
		if err != nil && !isNotFound(err) { // containerd collects what nobody refers to
			t.Errorf("clean up: %v", err)
		}
	})
	if stage == 0 {
		return
	}
	task, err := c.NewTask(ctx, cio.NullIO)
	if err != nil {
		t.Fatal(err)
	}
	if stage == 1 {
		return
	}
	if err := task.Start(ctx); err != nil {
		t.Fatal(err)
	}
}
