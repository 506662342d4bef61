package faults

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/compose-first/compose/internal/process"
)

// What the agent is held to while it is killed.
const (
	maxBlocked = 2 * time.Second
	maxNoNames = time.Second
	writers    = 10
	lineRate   = 5000 // a second and writer
)

// Nothing is lost and nobody waits when the agent dies, nor when the logger does.
func TestKilledAgent(t *testing.T) {
	port := freePort(t)
	f := begin(t, shared, "SIGKILL of the agent", fmt.Sprintf(`
services:
  writer:
    image: busybox
    command: [/tools/writer, /out, "%d"]
    scale: %d
    volumes: [&tools "..:/tools:ro", &out ./out:/out]
  prober:
    image: busybox
    command: [/tools/prober, /out, web]
    volumes: [*tools, *out]
  web:
    image: busybox
    command: [sh, -c, "until [ -e /out/ill ]; do httpd -f -p 80 & wait $$!; done"]
    stop_signal: SIGKILL
    ports: ["%d:80"]
    volumes: [*out]
    healthcheck: {test: [CMD, test, "!", -e, /out/ill], interval: 200ms, retries: 1}
  phoenix:
    image: busybox
    command: [sh, -c, "until [ -e /out/burn ]; do sleep 0.05; done; rm /out/burn"]
    restart: always
    stop_signal: SIGKILL
    volumes: [*out]
`, lineRate, writers, port))
	f.tool("writer")
	f.tool("prober")
	f.must("up", "-d", "--wait")
	web := watch(port)
	f.until(patience, "names resolve", func() bool { n, _ := f.probed(); return n > 0 })

	var noNames time.Duration
	for i := range times(6, 120) {
		daemon := "agent"
		if i%6 == 5 {
			daemon = "logger"
		}
		f.try(func() {
			f.killDaemon(daemon)
			_, longest := f.probed()
			if longest > max(noNames, maxNoNames) {
				f.Errorf("with the %s killed, names did not resolve for %v; agent and logger say\n%s", daemon, longest, f.lastWords())
			}
			noNames = longest
		})
	}
	f.burn()
	failures := web.stop()
	if len(failures) > 0 {
		f.Errorf("the published port failed %d times, first: %v", len(failures), failures[0])
	}
	f.write(filepath.Join(f.dir, "out", "ill"), "")
	f.until(patience, "health is followed", func() bool { return f.named("web").Health == "unhealthy" })

	lines, blocked := f.countLines()
	if blocked > maxBlocked {
		f.Errorf("a write blocked for %v", blocked)
	}
	f.row.Note = fmt.Sprintf("%d lines, longest write %v, longest without names %v, port asked %d times", lines, blocked.Round(time.Millisecond), noNames.Round(time.Millisecond), web.asked)
}

// killDaemon kills the agent or the logger, and returns once another is there,
// names resolve and output goes on. It looks at little while it waits: what is
// measured has two cores for everything.
func (f *fault) killDaemon(daemon string) {
	f.Helper()
	before := f.pidOf(daemon)
	f.kill(daemon)
	f.until(patience, "another "+daemon, func() bool { pid := f.pidOf(daemon); return pid != 0 && pid != before && f.pidOf("agent") != 0 })
	answers, _ := f.probed()
	f.until(patience, "names resolve", func() bool { n, _ := f.probed(); return n > answers+5 })
	f.until(patience, "there is one of each", func() bool { return len(f.Daemons(daemon)) == 1 && len(f.Daemons("agent")) == 1 })
	logs := f.logFiles()
	sizes := map[string]int64{}
	for _, log := range logs {
		sizes[log] = size(log)
	}
	f.until(patience, "all output goes on", func() bool {
		for _, log := range logs {
			if size(log) == sizes[log] && strings.Contains(f.head(log), "line ") {
				return false
			}
		}
		return true
	})
}

// pidOf is the process that a daemon has written down, 0 when that is gone.
func (f *fault) pidOf(daemon string) int {
	p, _, runs := process.ReadFile(filepath.Join(f.Root, "run", daemon+".pid"))
	if !runs {
		return 0
	}
	return p.PID
}

// burn ends a container which is to be started again.
func (f *fault) burn() {
	f.Helper()
	before := f.named("phoenix")
	f.write(filepath.Join(f.dir, "out", "burn"), "")
	f.until(patience, "phoenix ends", func() bool {
		_, err := os.Stat(filepath.Join(f.dir, "out", "burn"))
		return err != nil
	})
	f.until(patience, "phoenix is back", func() bool { return f.named("phoenix").State == "running" && before.ID == f.named("phoenix").ID })
}

// probed is how many answers the prober has had, and the longest time between two.
func (f *fault) probed() (answers int, longest time.Duration) {
	b, err := os.ReadFile(filepath.Join(f.dir, "out", "prober"))
	if err != nil {
		return 0, 0
	}
	if _, err := fmt.Sscan(string(b), &answers, (*int64)(&longest)); err != nil {
		f.Fatalf("the prober wrote %q: %v", b, err)
	}
	return answers, longest
}

// countLines ends the writers, and compares what each has written with its log.
func (f *fault) countLines() (lines int, blocked time.Duration) {
	f.Helper()
	f.write(filepath.Join(f.dir, "out", "stop"), "")
	for _, c := range f.ps() {
		if c.Service != "writer" {
			continue
		}
		var wrote int
		var longest time.Duration
		f.until(patience, c.Name+" reports", func() bool {
			b, _ := os.ReadFile(filepath.Join(f.dir, "out", c.ID[:12]))
			_, err := fmt.Sscan(string(b), &wrote, (*int64)(&longest))
			return err == nil
		})
		log := filepath.Join(f.Root, "lib", "containers", c.ID, "log")
		var err error
		f.until(patience, c.Name+"'s log has all", func() bool { err = whole(log, wrote); return err == nil })
		if err != nil {
			f.Errorf("%s wrote %d lines: %v", c.Name, wrote, err)
		}
		lines += wrote
		blocked = max(blocked, longest)
	}
	return lines, blocked
}

// whole reports how a log differs from the lines 1 to n, each once, in the
// order of writing, the odd ones from standard output.
func whole(log string, n int) error {
	b, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	next := map[string]int{"stdout": 1, "stderr": 2}
	begun := map[string]string{} // of a line that comes in parts
	for line := range bytes.Lines(b) {
		// A log's line is "time stream F text", or P for a part of a line that
		// goes on in the stream's next: see internal/logfile.
		fields := strings.SplitN(strings.TrimSuffix(string(line), "\n"), " ", 4)
		if len(fields) != 4 {
			return fmt.Errorf("the log has %q", line)
		}
		stream, text := fields[1], begun[fields[1]]+fields[3]
		if begun[stream] = ""; fields[2] == "P" {
			begun[stream] = text
			continue
		}
		number, err := strconv.Atoi(strings.TrimPrefix(text, "line "))
		if err != nil || fields[2] != "F" || number != next[stream] {
			return fmt.Errorf("the log has %q where line %d of %s should end", line, next[stream], stream)
		}
		next[stream] += 2
	}
	if got := next["stdout"]/2 + next["stderr"]/2 - 1; got != n {
		return fmt.Errorf("the log has %d lines", got)
	}
	return nil
}

func (f *fault) logFiles() []string {
	f.Helper()
	files, err := filepath.Glob(filepath.Join(f.Root, "lib", "containers", "*", "log"))
	if err != nil {
		f.Fatal(err)
	}
	return files
}

// head is the beginning of a file.
func (f *fault) head(path string) string {
	f.Helper()
	file, err := os.Open(path)
	if err != nil {
		f.Fatal(err)
	}
	defer file.Close()
	b := make([]byte, 100)
	n, _ := file.Read(b)
	return string(b[:n])
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// watched is a published port that is asked all the time.
type watched struct {
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	asked    int
	failures []error
}

// watch asks a port every 20 ms until stop.
func watch(port int) *watched {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watched{cancel: cancel}
	w.wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			w.asked++
			if err := answers(port); err != nil {
				w.failures = append(w.failures, err)
			}
			<-tick.C
		}
	})
	return w
}

// stop ends the asking, and returns what went wrong.
func (w *watched) stop() []error {
	w.cancel()
	w.wg.Wait()
	return w.failures
}
