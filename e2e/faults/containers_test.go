package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/compose-first/compose/internal/enginetest"
)

// seen is how soon ps has to know what has happened to a container.
const seen = 2 * time.Second

// A shim that is killed takes its containers along. It is noticed, the restart
// policy acts, and the containers of other shims do not care.
func TestKilledShim(t *testing.T) {
	f := begin(t, shared, "a shim killed", `
services:
  again: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL, restart: always}
  gone: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL}
`)
	neighbour := f.project("neighbour", pair)
	up := func(dir string) {
		if r := f.Engine.Run(f.ctx, dir, nil, "up", "-d"); r.Code != 0 {
			f.Fatalf("up in %s: exit %d\n%s", dir, r.Code, r.Stderr)
		}
	}
	up(neighbour)
	theirs := f.Daemons("shim")
	other := strings.TrimSpace(f.Engine.Run(f.ctx, neighbour, nil, "ps", "-q", "--no-trunc", "web").Stdout)
	before := f.Contained(other)
	var slowest time.Duration
	for range times(2, 20) {
		f.try(func() {
			up(f.dir)
			gone, pids := f.named("gone"), f.Contained(f.named("again").ID)
			for _, shim := range f.Daemons("shim") {
				if !contains(theirs, shim.PID) {
					if err := enginetest.KillProcess(f.ctx, shim.PID); err != nil {
						f.Fatal(err)
					}
				}
			}
			slowest = max(slowest, f.until(seen, "ps shows that it ended", func() bool { return f.named("gone").State == "exited" }))
			if c := f.named("gone"); c.ID != gone.ID || c.ExitCode != 255 { // nobody saw how it ended
				f.Errorf("%+v", c)
			}
			f.until(patience, "the restart policy acts", func() bool {
				now := f.Contained(f.named("again").ID)
				return f.named("again").State == "running" && len(now) > 0 && fmt.Sprint(now) != fmt.Sprint(pids)
			})
			if now := f.Contained(other); len(now) == 0 || fmt.Sprint(now) != fmt.Sprint(before) {
				f.Errorf("the neighbour's processes were %v and are %v", before, now)
			}
		})
	}
	f.row.Note = fmt.Sprintf("in ps after at most %v", slowest.Round(time.Millisecond))
	if r := f.Engine.Run(f.ctx, neighbour, nil, "down", "-v"); r.Code != 0 {
		f.Errorf("down of the neighbour: %s", r.Stderr)
	}
}

func contains(all []enginetest.Process, pid int) bool {
	for _, p := range all {
		if p.PID == pid {
			return true
		}
	}
	return false
}

// The kernel ends what takes too much, and ps says so.
func TestOutOfMemory(t *testing.T) {
	f := begin(t, shared, "a container out of memory", `
services:
  hog:
    image: busybox
    command: [sh, -c, "until [ -e /out/eat ]; do sleep 0.05; done; exec tail /dev/zero"]
    mem_limit: 32m
    memswap_limit: 32m
    volumes: [./out:/out]
  again:
    image: busybox
    command: [sh, -c, "until [ -e /out/eat ]; do sleep 0.05; done; rm /out/eat; exec tail /dev/zero"]
    mem_limit: 32m
    memswap_limit: 32m
    restart: on-failure
    stop_signal: SIGKILL
    volumes: [./again:/out]
  neighbour: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL}
`)
	var slowest time.Duration
	for range times(1, 10) {
		f.try(func() {
			f.must("up", "-d")
			neighbour := f.Contained(f.named("neighbour").ID)
			f.must("exec", "again", "touch", "/out/eat")
			f.must("exec", "hog", "touch", "/out/eat")
			f.until(patience, "the kernel ends it", func() bool { return len(f.Contained(f.named("hog").ID)) == 0 })
			slowest = max(slowest, f.until(seen, "ps shows how it ended", func() bool {
				c := f.named("hog")
				return c.State == "exited" && c.ExitCode == 137 && strings.Contains(c.Status, "out of memory")
			}))
			f.until(patience, "the restart policy acts", func() bool {
				return f.named("again").State == "running" && len(f.Contained(f.named("again").ID)) > 0
			})
			if now := f.Contained(f.named("neighbour").ID); fmt.Sprint(now) != fmt.Sprint(neighbour) {
				f.Errorf("the neighbour's processes were %v and are %v", neighbour, now)
			}
			f.must("exec", "neighbour", "true")
			f.must("down", "-v", "-t", "0")
			f.must("run", "--rm", "--no-deps", "hog", "rm", "-f", "/out/eat")
		})
	}
	f.row.Note = fmt.Sprintf("in ps after at most %v", slowest.Round(time.Millisecond))
}

// A fork bomb has its limit, and nobody else notices.
func TestForkBomb(t *testing.T) {
	f := begin(t, shared, "a fork bomb under pids_limit", `
services:
  bomb:
    image: busybox
    command: [sh, -c, "(while :; do sleep 1000 & done); exec sleep 1000"]
    pids_limit: 60
    stop_signal: SIGKILL
  neighbour: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL}
`)
	for range times(1, 10) {
		f.try(func() {
			f.must("up", "-d")
			bomb := f.named("bomb").ID
			f.until(patience, "the bomb goes off", func() bool { return len(f.Contained(bomb)) > 30 })
			start := time.Now()
			f.must("exec", "neighbour", "true")
			f.row.Note = fmt.Sprintf("the neighbour's exec took %v", time.Since(start).Round(time.Millisecond))
			if n := len(f.Contained(bomb)); n > 60 {
				f.Errorf("the bomb has %d processes", n)
			}
			f.must("kill", "bomb")
			f.until(patience, "ps shows that it ended", func() bool { return f.named("bomb").State == "exited" })
			if left := f.Contained(bomb); len(left) > 0 {
				f.Errorf("processes %v are left of the bomb", left)
			}
			f.must("down", "-v")
		})
	}
}
