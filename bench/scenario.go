package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// wideProject measures a project of many one-container services on one
// network: up, no-op up, ps, memory at rest, down. Floor and figure are taken
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
	var up, noop, ps, down, floorUp, floorDown []time.Duration
	var memory map[string]int
	for range o.Rounds {
		fu, fd, err := f.cycle(fctx, o.Services, limit)
		if err != nil {
			return err
		}
		floorUp, floorDown = append(floorUp, fu), append(floorDown, fd)
		for _, m := range []struct {
			into *[]time.Duration
			args []string
		}{
			{&up, []string{"up", "-d"}},
			{&noop, []string{"up", "-d"}},
			{&ps, []string{"ps"}},
		} {
			d, err := e.run(ctx, dir, m.args...)
			if err != nil {
				return err
			}
			*m.into = append(*m.into, d)
		}
		if memory, err = restingMemory(e.root); err != nil {
			return err
		}
		d, err := e.run(ctx, dir, "down")
		if err != nil {
			return err
		}
		down = append(down, d)
	}
	n := o.Services
	t.timed(fmt.Sprintf("up -d, %d services", n), up, floorUp, "ratio ≤ 1.4")
	t.timed(fmt.Sprintf("down, %d services", n), down, floorDown, "ratio ≤ 1.5")
	t.timed(fmt.Sprintf("up -d again, %d services", n), noop, nil, "≤ 80 ms")
	t.timed(fmt.Sprintf("ps, %d services", n), ps, nil, "≤ 45 ms")
	t.rows = append(t.rows, memoryRow(memory, n))
	return nil
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
		up, down, err := f.cycle(ctx, n, p)
		if err != nil {
			return 0, err
		}
		if limit == 0 || up+down < best {
			best, limit = up+down, p
		}
	}
	return limit, nil
}

func memoryRow(kib map[string]int, n int) row {
	total, parts := 0, []string{}
	for _, name := range slices.Sorted(maps.Keys(kib)) {
		total += kib[name]
		parts = append(parts, fmt.Sprintf("%s %.1f", name, float64(kib[name])/1024))
	}
	return row{
		Name:  fmt.Sprintf("memory at rest, %d services", n),
		Value: fmt.Sprintf("%.1f MiB PSS (%s)", float64(total)/1024, strings.Join(parts, ", ")),
		Goal:  "≤ 170 MiB",
	}
}

// healthChain measures five services, each waiting for the health of the one
// before, whose interval is far longer than they need.
func healthChain(ctx context.Context, e *engine, o options, t *table) error {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range 5 {
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
	var took []time.Duration
	for range o.Rounds {
		d, err := e.run(ctx, dir, "up", "-d", "--wait")
		if err != nil {
			return err
		}
		took = append(took, d)
		if _, err := e.run(ctx, dir, "down"); err != nil {
			return err
		}
	}
	t.timed("chain of 5, each healthy before the next", took, nil, "≤ 2 s")
	return nil
}

// cachedBuild measures what --build adds to an up whose image is already
// built from the same files.
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
	var built []time.Duration
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
	}
	t.timed("what --build adds, nothing changed", built, nil, "< 300 ms a service")
	_, err = e.run(ctx, dir, "down")
	return err
}
