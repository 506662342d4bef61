package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// wideProject measures a project of many one-container services on one
// network: up, no-op up, ps, down, and memory at rest. Floor and figure are taken
// in turn, so that a slow spell of the machine meets both.
func wideProject(ctx context.Context, e *engine, o options, t *table) error {
	f, fctx, err := newFloor(ctx, e.socket())
	if err != nil {
		return err
	}
	defer f.client.Close()
	dir, err := e.project("wide", wideFile(o.Services))
	if err != nil {
		return err
	}
	limit, err := bestParallelism(fctx, f, o.Services)
	if err != nil {
		return err
	}
	var w wide
	for range o.Rounds {
		if err := w.round(ctx, fctx, e, f, dir, o.Services, limit); err != nil {
			return err
		}
	}
	if err := w.rest(ctx, fctx, e, f, dir, o.Services, limit); err != nil {
		return err
	}
	n := o.Services
	t.timed(fmt.Sprintf("up -d, %d services", n), w.up, w.floorUp, "ratio ≤ 1.4")
	t.timed(fmt.Sprintf("down, %d services", n), w.down, w.floorDown, "ratio ≤ 1.5")
	t.timed(fmt.Sprintf("up -d again, %d services", n), w.noop, w.floorList, "≤ 80 ms")
	t.timed(fmt.Sprintf("ps, %d services", n), w.ps, w.floorList, "≤ 45 ms")
	t.sized(fmt.Sprintf("memory at rest, %d services", n), w.memory, w.floorMemory, "≤ 170 MiB")
	return nil
}

// wide is what the rounds of wideProject have measured.
type wide struct {
	up, noop, ps, down            []time.Duration
	floorUp, floorList, floorDown []time.Duration
	memory, floorMemory           map[string]int // KiB by program
}

// round takes each floor and each figure once.
func (w *wide) round(ctx, fctx context.Context, e *engine, f *floor, dir string, n, limit int) error {
	up, down, err := f.cycle(fctx, n, limit, nil)
	if err != nil {
		return err
	}
	w.floorUp, w.floorDown = append(w.floorUp, up), append(w.floorDown, down)
	if err := e.timed(ctx, &w.up, dir, "up", "-d"); err != nil {
		return err
	}
	if err := e.timed(ctx, &w.noop, dir, "up", "-d"); err != nil {
		return err
	}
	if err := e.timed(ctx, &w.ps, dir, "ps"); err != nil {
		return err
	}
	listed, err := list(fctx, e.socket())
	if err != nil {
		return err
	}
	w.floorList = append(w.floorList, listed)
	return e.timed(ctx, &w.down, dir, "down")
}

// rest takes what either has in memory once its daemons have come to rest.
func (w *wide) rest(ctx, fctx context.Context, e *engine, f *floor, dir string, n, limit int) error {
	_, _, err := f.cycle(fctx, n, limit, func() (err error) {
		w.floorMemory, err = restingMemory(ctx, e.root, "containerd", "containerd-shim-runc-v2")
		return err
	})
	if err != nil {
		return err
	}
	if _, err := e.run(ctx, dir, "up", "-d"); err != nil {
		return err
	}
	if w.memory, err = restingMemory(ctx, e.root, "containerd", "containerd-shim-runc-v2", "compose"); err != nil {
		return err
	}
	_, err = e.run(ctx, dir, "down")
	return err
}

// wideFile has no health checks; SIGKILL as stop signal, since sleep as
// process 1 ignores SIGTERM and the grace period is not what is measured.
func wideFile(n int) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&b, "  s%02d: {image: busybox, command: [sleep, \"1000\"], stop_signal: SIGKILL}\n", i)
	}
	return b.String()
}

// bestParallelism is the one at which the floor starts and stops n containers fastest.
func bestParallelism(ctx context.Context, f *floor, n int) (int, error) {
	best, limit := time.Duration(0), 0
	for _, p := range parallelisms {
		up, down, err := f.cycle(ctx, n, p, nil)
		if err != nil {
			return 0, err
		}
		if limit == 0 || up+down < best {
			best, limit = up+down, p
		}
	}
	return limit, nil
}

// healthChain measures five services, each waiting for the health of the one
// before, whose interval is far longer than they need. Its floor starts five
// containers one after the other.
func healthChain(ctx context.Context, e *engine, o options, t *table) error {
	f, fctx, err := newFloor(ctx, e.socket())
	if err != nil {
		return err
	}
	defer f.client.Close()
	var b strings.Builder
	b.WriteString("services:\n")
	const length = 5
	for i := range length {
		fmt.Fprintf(&b, "  c%d:\n    image: busybox\n    command: [sleep, \"1000\"]\n    stop_signal: SIGKILL\n", i)
		b.WriteString("    healthcheck: {test: [CMD, \"true\"], interval: 5s}\n")
		if i > 0 {
			fmt.Fprintf(&b, "    depends_on: {c%d: {condition: service_healthy}}\n", i-1)
		}
	}
	dir, err := e.project("chain", b.String())
	if err != nil {
		return err
	}
	var took, floorTook []time.Duration
	for range o.Rounds {
		up, _, err := f.cycle(fctx, length, 1, nil)
		if err != nil {
			return err
		}
		floorTook = append(floorTook, up)
		if err := e.timed(ctx, &took, dir, "up", "-d", "--wait"); err != nil {
			return err
		}
		if _, err := e.run(ctx, dir, "down"); err != nil {
			return err
		}
	}
	t.timed("chain of 5, each healthy before the next", took, floorTook, "≤ 2 s")
	return nil
}

// cachedBuild measures what --build adds to an up whose image is already
// built from the same files. Its floor is the same build by BuildKit's client.
func cachedBuild(ctx context.Context, e *engine, o options, t *table) error {
	dir, err := e.project("built", "services:\n  b: {build: ., command: [sleep, \"1000\"], stop_signal: SIGKILL}\n")
	if err != nil {
		return err
	}
	dockerfile := "FROM busybox\nCOPY compose.yaml /\nRUN true\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		return err
	}
	if _, err := e.run(ctx, dir, "up", "-d", "--build"); err != nil {
		return err
	}
	var built, floorBuilt []time.Duration
	for range o.Rounds {
		p, err := e.run(ctx, dir, "up", "-d")
		if err != nil {
			return err
		}
		b, err := e.run(ctx, dir, "up", "-d", "--build")
		if err != nil {
			return err
		}
		built = append(built, b-p)
		bare, err := bareBuild(ctx, e.builder(), dir)
		if err != nil {
			return err
		}
		floorBuilt = append(floorBuilt, bare)
	}
	t.timed("what --build adds, nothing changed", built, floorBuilt, "< 300 ms a service")
	_, err = e.run(ctx, dir, "down")
	return err
}
