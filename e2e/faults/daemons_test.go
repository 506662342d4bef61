package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-first/compose/internal/enginetest"
)

// Containers do not need containerd to run, and whoever does need it finds it
// again, or says in a sentence that it went.
func TestKilledContainerd(t *testing.T) {
	port := freePort(t)
	f := begin(t, shared, "SIGKILL of containerd", fmt.Sprintf(`
services:
  web:
    image: busybox
    command: [httpd, -f, -p, "80"]
    stop_signal: SIGKILL
    ports: ["%d:80"]
    healthcheck: {test: [CMD, "true"], interval: 200ms}
  late:
    image: busybox
    command: [sleep, "1000"]
    stop_signal: SIGKILL
    scale: 3
    depends_on: {web: {condition: service_healthy}}
  phoenix:
    image: busybox
    command: [sh, -c, "until [ -e /out/burn ]; do sleep 0.05; done; rm /out/burn"]
    restart: always
    stop_signal: SIGKILL
    volumes: [./out:/out]
`, port))
	f.must("up", "-d", "--wait", "web", "phoenix")
	web := watch(port)
	before := f.Contained(f.named("web").ID)
	var slowest time.Duration
	failed := 0
	for i := range times(2, 20) {
		f.try(func() {
			r := f.killDuring("containerd", time.Duration(i*100%500)*time.Millisecond, "up", "-d", "--force-recreate", "--no-deps", "late")
			if r.Code != 0 {
				failed++
				if line := lastLine(r.Stderr); !sentence.MatchString(line) {
					f.Errorf("compose up, with containerd killed, ended with %q", line)
				}
			}
			start := time.Now()
			f.must("up", "-d", "late")
			slowest = max(slowest, time.Since(start))
			if now := f.Contained(f.named("web").ID); !slices.Contains(now, before[0]) { // the others are probes of its health
				f.Errorf("the processes of web were %v and are %v", before, now)
			}
			f.until(patience, "all run", func() bool { // one that ends again and again has to wait
				return f.states() == "late running, late running, late running, phoenix running, web running"
			})
			f.burn()
		})
	}
	if failures := web.stop(); len(failures) > 0 {
		f.Errorf("the published port failed %d times, first: %v", len(failures), failures[0])
	}
	f.row.Note = fmt.Sprintf("%d of the commands under way failed with a sentence, the next took at most %v", failed, slowest.Round(time.Millisecond))
}

// killDuring starts a command, kills a daemon after a while, and returns how
// the command ended.
func (f *fault) killDuring(daemon string, after time.Duration, args ...string) enginetest.Result {
	f.Helper()
	ended := make(chan enginetest.Result, 1)
	go func() { ended <- f.compose(args...) }()
	timer := time.NewTimer(after)
	defer timer.Stop()
	<-timer.C // the moment of the fault is what is being varied
	f.kill(daemon)
	select {
	case r := <-ended:
		return r
	case <-time.After(patience):
		f.Fatalf("compose %v does not end after %s was killed", args, daemon)
	}
	return enginetest.Result{}
}

// A build that loses its builder says so, and the next one has another.
func TestKilledBuildkitd(t *testing.T) {
	f := begin(t, shared, "buildkitd killed in mid-build", `
services:
  slow:
    image: slow
    build: {context: ., dockerfile_inline: "FROM busybox\nRUN echo begun && sleep ${SECONDS_OF_SLEEP:-1000}"}
    command: [sleep, "1000"]
    stop_signal: SIGKILL
`)
	for range times(1, 10) {
		f.try(func() {
			ended := make(chan enginetest.Result, 1)
			go func() { ended <- f.compose("build", "--no-cache") }()
			f.until(patience, "the build runs", func() bool { return len(f.processesOf("sleep 1000")) > 0 })
			f.kill("buildkitd")
			var r enginetest.Result
			select {
			case r = <-ended:
			case <-time.After(patience):
				f.Fatal("the build does not end after its builder was killed")
			}
			if line := lastLine(r.Stderr); r.Code == 0 || !sentence.MatchString(line) || !strings.Contains(strings.ToLower(line), "buildkit") {
				f.Errorf("exit %d, %q", r.Code, line)
			}
			f.write(f.dir+"/.env", "SECONDS_OF_SLEEP=0\n")
			f.must("build")
			if left := f.processesOf("sleep 1000"); len(left) > 0 {
				f.Errorf("processes %v of the killed build run on", left)
			}
			f.write(f.dir+"/.env", "")
		})
	}
	f.must("down", "-v", "--rmi", "all")
}

// processesOf lists the processes of builds with these words among their arguments.
func (f *fault) processesOf(args string) []int {
	f.Helper()
	var found []int
	for _, pid := range f.Contained("") {
		if strings.Contains(enginetest.Args(pid), args) {
			found = append(found, pid)
		}
	}
	return found
}
