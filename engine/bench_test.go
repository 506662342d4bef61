package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"golang.org/x/sync/errgroup"

	"github.com/compose-first/compose/project"
)

// many is how many containers the benchmarks start together.
const many = 30

// BenchmarkUpAndDown creates and starts, then kills and deletes, containers
// with no network: by the bare client (floor), and through this package with
// streams, for several sizes of the group that shares a shim (0: none). Each
// round does all of them in turn, and the best of each is reported, so that a
// busy machine is the same to all.
func BenchmarkUpAndDown(b *testing.B) {
	type figures struct {
		up, down      time.Duration
		memory, shims int
	}
	best := map[string]figures{}
	note := func(name string, f figures) {
		old, ok := best[name]
		if ok {
			f.up, f.down = min(f.up, old.up), min(f.down, old.down)
		}
		best[name] = f
	}
	for b.Loop() {
		up, down := floorRound(b)
		note("floor", figures{up: up, down: down})
		for _, size := range []int{0, 8, 16, many} {
			up, down, memory, shims := engineRound(b, size)
			note(fmt.Sprintf("group%d", size), figures{up, down, memory, shims})
		}
	}
	for name, f := range best {
		b.ReportMetric(float64(f.up.Milliseconds()), name+"-up-ms")
		b.ReportMetric(float64(f.down.Milliseconds()), name+"-down-ms")
		if f.shims > 0 {
			b.ReportMetric(float64(f.shims), name+"-shims")
			b.ReportMetric(float64(f.memory)/1024, name+"-MiB")
		}
	}
	b.ReportMetric(0, "ns/op")
}

// floorRound is one round of the bare client.
func floorRound(b *testing.B) (up, down time.Duration) {
	ctx := namespaces.WithNamespace(b.Context(), Namespace)
	img, err := shared.conn.GetImage(ctx, testImage)
	if err != nil {
		b.Fatal(err)
	}
	made := make([]containerd.Container, many)
	began := time.Now()
	inParallel(b, func(i int) error {
		id := fmt.Sprintf("floor-%d-%d", began.UnixNano(), i)
		c, err := shared.conn.NewContainer(ctx, id, containerd.WithImage(img), containerd.WithNewSnapshot(id, img),
			containerd.WithNewSpec(oci.WithImageConfigArgs(img, []string{"sleep", "1000"})))
		if err != nil {
			return err
		}
		made[i] = c
		t, err := c.NewTask(ctx, cio.NullIO)
		if err != nil {
			return err
		}
		return t.Start(ctx)
	})
	up = time.Since(began)
	began = time.Now()
	inParallel(b, func(i int) error {
		t, err := made[i].Task(ctx, nil)
		if err != nil {
			return err
		}
		ended, err := t.Wait(ctx)
		if err != nil {
			return err
		}
		if err := t.Kill(ctx, syscall.SIGKILL); err != nil {
			return err
		}
		<-ended
		if _, err := t.Delete(ctx); err != nil {
			return err
		}
		return made[i].Delete(ctx, containerd.WithSnapshotCleanup)
	})
	return up, time.Since(began)
}

// engineRound is one round through this package.
func engineRound(b *testing.B, group int) (up, down time.Duration, memory, shims int) {
	img, err := shared.ResolveImage(b.Context(), testImage, "")
	if err != nil {
		b.Fatal(err)
	}
	ids := make([]string, many)
	began := time.Now()
	inParallel(b, func(i int) error {
		ids[i] = NewID()
		cfg := CreateConfig{
			ID: ids[i], Name: "bench-" + strconv.Itoa(i), Image: img,
			Labels: map[string]string{project.LabelProject: "bench", project.LabelService: "s" + strconv.Itoa(i)},
			Record: project.Record{Project: "bench", Service: "s", Number: 1, NetworkMode: "none"},
		}
		cfg.Service.Command = []string{"sleep", "1000"}
		if group > 0 {
			cfg.ShimGroup = fmt.Sprintf("bench-%d-%d", began.UnixNano(), i/group)
		}
		if err := shared.Create(b.Context(), cfg); err != nil {
			return err
		}
		return shared.Start(b.Context(), ids[i])
	})
	up = time.Since(began)
	memory, shims = shimMemory()
	began = time.Now()
	inParallel(b, func(i int) error { return shared.Stop(b.Context(), ids[i], "SIGKILL", 0) })
	inParallel(b, func(i int) error { return shared.Remove(b.Context(), ids[i]) })
	return up, time.Since(began), memory, shims
}

func inParallel(b *testing.B, act func(i int) error) {
	b.Helper()
	var g errgroup.Group
	limit := 8
	if n, err := strconv.Atoi(os.Getenv("BENCH_PARALLEL")); err == nil {
		limit = n
	}
	g.SetLimit(limit)
	for i := range many {
		g.Go(func() error { return act(i) })
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

// shimMemory adds up what the shims of the shared engine occupy, in KiB of PSS.
func shimMemory() (kib, shims int) {
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range found {
		cmdline, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(cmdline), "containerd-shim-runc-v2") || !strings.Contains(string(cmdline), shared.cfg.Root.Run) {
			continue
		}
		rollup, err := os.ReadFile(filepath.Join(filepath.Dir(path), "smaps_rollup"))
		if err != nil {
			continue
		}
		shims++
		for line := range strings.Lines(string(rollup)) {
			if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "Pss:" {
				n, _ := strconv.Atoi(fields[1])
				kib += n
			}
		}
	}
	return kib, shims
}

// BenchmarkObserve is what every command pays to see thirty containers.
func BenchmarkObserve(b *testing.B) {
	img, err := shared.ResolveImage(b.Context(), testImage, "")
	if err != nil {
		b.Fatal(err)
	}
	ids := make([]string, many)
	inParallel(b, func(i int) error {
		ids[i] = NewID()
		cfg := CreateConfig{ID: ids[i], Name: "bench-" + strconv.Itoa(i), Image: img, ShimGroup: "bench",
			Labels: map[string]string{project.LabelProject: "bench"}, Record: project.Record{NetworkMode: "none"}}
		cfg.Service.Command = []string{"sleep", "1000"}
		if err := shared.Create(b.Context(), cfg); err != nil {
			return err
		}
		return shared.Start(b.Context(), ids[i])
	})
	b.Cleanup(func() { inParallel(b, func(i int) error { return shared.Remove(context.Background(), ids[i]) }) })
	for b.Loop() {
		got, err := shared.Observe(b.Context(), "bench")
		if err != nil || len(got) != many {
			b.Fatal(len(got), err)
		}
	}
}
