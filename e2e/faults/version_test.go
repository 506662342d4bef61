package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/compose-first/compose/internal/enginetest"
	"github.com/compose-first/compose/internal/process"
)

// The agent of another build, if only of the same version, is replaced by the
// first command, and no container notices.
func TestOtherBuild(t *testing.T) {
	port := freePort(t)
	f := begin(t, shared, "an agent of another build", fmt.Sprintf(`
services:
  writer:
    image: busybox
    command: [/tools/writer, /out, "1000"]
    scale: 2
    volumes: [&tools "..:/tools:ro", &out ./out:/out]
  prober:
    image: busybox
    command: [/tools/prober, /out, web]
    volumes: [*tools, *out]
  web:
    image: busybox
    command: [httpd, -f, -p, "80"]
    stop_signal: SIGKILL
    ports: ["%d:80"]
`, port))
	f.tool("writer")
	f.tool("prober")
	other, err := f.OtherBuild(f.ctx)
	if err != nil {
		f.Fatal(err)
	}
	f.must("up", "-d")
	f.until(patience, "names resolve", func() bool { n, _ := f.probed(); return n > 0 })
	web := watch(port)
	before := f.mainProcesses()
	var slowest time.Duration
	for i := range times(2, 20) {
		f.try(func() {
			e := []*enginetest.Engine{other, f.Engine}[i%2]
			r := e.Run(f.ctx, f.dir, nil, "up", "-d")
			if r.Code != 0 {
				f.Errorf("compose up of another build: exit %d\n%s", r.Code, r.Stderr)
			}
			slowest = max(slowest, r.Took)
			for _, daemon := range []string{"agent", "logger"} {
				if got := f.binaryOf(daemon); got != e.Binary {
					f.Errorf("the %s is of %s, not of %s", daemon, got, e.Binary)
				}
			}
			if now := f.mainProcesses(); now != before {
				f.Errorf("the processes of containers were %s and are %s", before, now)
			}
			answers, _ := f.probed()
			f.until(patience, "names resolve", func() bool { n, _ := f.probed(); return n > answers+5 })
		})
	}
	if failures := web.stop(); len(failures) > 0 {
		f.Errorf("the published port failed %d times, first: %v", len(failures), failures[0])
	}
	_, noNames := f.probed()
	if noNames > maxNoNames {
		f.Errorf("names did not resolve for %v", noNames)
	}
	lines, blocked := f.countLines()
	if blocked > maxBlocked {
		f.Errorf("a write blocked for %v", blocked)
	}
	f.must("up", "-d", "web") // leaves the agent of this build
	f.row.Note = fmt.Sprintf("%d lines, longest write %v, longest without names %v, up took at most %v", lines, blocked.Round(time.Millisecond), noNames.Round(time.Millisecond), slowest.Round(time.Millisecond))
}

// mainProcesses is the first processes of all containers: those that a shim started.
func (f *fault) mainProcesses() string {
	var first []int
	for _, pid := range f.Contained("") {
		parent := process.Parent(pid)
		if slices.ContainsFunc(f.Daemons("shim"), func(p enginetest.Process) bool { return p.PID == parent }) {
			first = append(first, pid)
		}
	}
	slices.Sort(first)
	return fmt.Sprint(first)
}

// binaryOf is the file that a daemon runs.
func (f *fault) binaryOf(daemon string) string {
	f.Helper()
	all := f.Daemons(daemon)
	if len(all) != 1 {
		f.Fatalf("there are %v of %s", all, daemon)
	}
	path, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(all[0].PID), "exe"))
	if err != nil {
		f.Fatal(err)
	}
	return path
}
