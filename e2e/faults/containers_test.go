package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-first/compose/internal/enginetest"
	"github.com/compose-first/compose/internal/process"
)

// seen is how soon ps has to know what has happened to a container.
const seen = 2 * time.Second

// A shim that is killed takes its container along. It is noticed, the restart
// policy acts, and neighbours do not care, of the same project or of another.
func TestKilledShim(t *testing.T) {
	f := begin(t, shared, "a shim killed", `
services:
  again: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL, restart: always}
  gone: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL}
  neighbour: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL, scale: 2}
`)
	other := f.project("neighbour", pair)
	if r := f.Engine.Run(f.ctx, other, nil, "up", "-d"); r.Code != 0 {
		f.Fatalf("up in %s: exit %d\n%s", other, r.Code, r.Stderr)
	}
	t.Cleanup(func() {
		if r := f.Engine.Run(context.WithoutCancel(f.ctx), other, nil, "down", "-v"); r.Code != 0 {
			f.Errorf("down of the neighbour: %s", r.Stderr)
		}
	})
	var slowest time.Duration
	for range times(2, 20) {
		f.try(func() {
			f.must("up", "-d", "--force-recreate") // one that ends again and again would have to wait
			gone, again := f.named("gone"), f.named("again")
			before := f.Contained(again.ID)
			others := f.others(gone.ID, again.ID)
			f.killShim(gone.ID)
			slowest = max(slowest, f.until(seen, "ps shows that it ended", func() bool { return f.named("gone").State == "exited" }))
			if c := f.named("gone"); c.ID != gone.ID || c.ExitCode != 255 { // nobody saw how it ended
				f.Errorf("%+v", c)
			}
			f.killShim(again.ID)
			f.until(patience, "the restart policy acts", func() bool {
				now := f.Contained(again.ID)
				return f.named("again").State == "running" && len(now) > 0 && fmt.Sprint(now) != fmt.Sprint(before)
			})
			if now := f.others(gone.ID, again.ID); now != others {
				f.Errorf("the neighbours' processes were %v and are %v", others, now)
			}
		})
	}
	f.row.Note = fmt.Sprintf("in ps after at most %v", slowest.Round(time.Millisecond))
}

// In a run of more containers than have a shim of their own, one that is killed
// takes along those that share it, and nobody else; the restart policy acts for
// all of them.
func TestKilledSharedShim(t *testing.T) {
	f := begin(t, shared, "a shim of several containers killed", `
services:
  many: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL, restart: always, scale: 36}
`)
	for range times(1, 5) {
		f.try(func() {
			f.must("up", "-d", "--force-recreate")
			shims := f.byShim()
			var struck []string
			for _, ids := range shims {
				if len(ids) > len(struck) {
					struck = ids
				}
			}
			if len(struck) < 2 || len(struck) > 10 || len(shims) < 20 {
				f.Fatalf("containers by shim: %v", shims)
			}
			others := f.others(struck...)
			f.killShim(struck[0])
			f.until(patience, "all run again", func() bool {
				return !slices.ContainsFunc(struck, func(id string) bool { return len(f.Contained(id)) == 0 }) &&
					f.states() == strings.TrimSuffix(strings.Repeat("many running, ", 36), ", ")
			})
			if now := f.others(struck...); now != others {
				f.Errorf("the others' processes were %v and are %v", others, now)
			}
			f.row.Note = fmt.Sprintf("%d containers share it, of 36", len(struck))
		})
	}
}

// byShim is the ids of the project's containers by the pid of their shim.
func (f *fault) byShim() map[int][]string {
	f.Helper()
	all := map[int][]string{}
	for _, c := range f.ps() {
		pids := f.Contained(c.ID)
		if len(pids) == 0 {
			f.Fatalf("container %s has no process", c.Name)
		}
		shim := process.Parent(pids[0])
		all[shim] = append(all[shim], c.ID)
	}
	return all
}

// killShim kills the shim of a container.
func (f *fault) killShim(id string) {
	f.Helper()
	pids := f.Contained(id)
	if len(pids) == 0 {
		f.Fatalf("container %s has no process", id)
	}
	shim := process.Parent(pids[0])
	if !slices.ContainsFunc(f.Daemons("shim"), func(p enginetest.Process) bool { return p.PID == shim }) {
		f.Fatalf("process %d of container %s is no shim's, but that of %d", pids[0], id, shim)
	}
	if err := enginetest.KillProcess(f.ctx, shim); err != nil {
		f.Fatal(err)
	}
}

// others is the processes of all containers but some, of all projects.
func (f *fault) others(but ...string) string {
	var rest []int
	for _, pid := range f.Contained("") {
		if !slices.ContainsFunc(but, func(id string) bool { return slices.Contains(f.Contained(id), pid) }) {
			rest = append(rest, pid)
		}
	}
	slices.Sort(rest)
	return fmt.Sprint(rest)
}

// The kernel ends what takes too much, and ps says so.
func TestOutOfMemory(t *testing.T) {
	f := begin(t, shared, "out of memory: main process, child", `
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
  child:
    image: busybox
    command: [sh, -c, "until [ -e /out/eat ]; do sleep 0.05; done; while :; do tail /dev/zero; echo $$? > /out/ended; done"]
    mem_limit: 32m
    memswap_limit: 32m
    stop_signal: SIGKILL
    volumes: [./child:/out]
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
			f.hogs("child")
			f.must("exec", "neighbour", "true")
			f.must("down", "-v", "-t", "0")
			f.must("run", "--rm", "--no-deps", "hog", "rm", "-f", "/out/eat")
		})
	}
	f.row.Note = fmt.Sprintf("in ps after at most %v", slowest.Round(time.Millisecond))
}

// hogs has a service's container run into its limit with one child after the
// other: the kernel ends those, and the container goes on.
func (f *fault) hogs(service string) {
	f.Helper()
	ended := filepath.Join(f.dir, service, "ended")
	f.write(filepath.Join(f.dir, service, "eat"), "")
	f.until(patience, "the kernel ends a child", func() bool {
		b, _ := os.ReadFile(ended)
		return strings.TrimSpace(string(b)) == "137"
	})
	if c := f.named(service); c.State != "running" {
		f.Errorf("after the end of a child: %+v", c)
	}
	f.must("kill", service)
	f.until(patience, "ps shows that it ended", func() bool { return f.named(service).State == "exited" })
	for _, path := range []string{ended, filepath.Join(f.dir, service, "eat")} {
		if err := os.Remove(path); err != nil {
			f.Fatal(err)
		}
	}
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
