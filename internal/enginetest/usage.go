package enginetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a daemon has of the machine.
type Usage struct {
	Descriptors int // open files
	Goroutines  int // 0 where nobody can tell
	Memory      int // KiB of its own: private and written to
}

// Usage looks at a daemon of which there is one.
func (e *Engine) Usage(ctx context.Context, daemon string) (Usage, error) {
	all := e.Daemons(daemon)
	if len(all) != 1 {
		return Usage{}, fmt.Errorf("%s: %d processes", daemon, len(all))
	}
	pid := all[0].PID
	open, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	if err != nil {
		return Usage{}, fmt.Errorf("files of %s: %w", daemon, err)
	}
	u := Usage{Descriptors: len(open)}
	if u.Memory, err = privateMemory(pid); err != nil {
		return u, fmt.Errorf("memory of %s: %w", daemon, err)
	}
	switch daemon {
	case "agent":
		u.Goroutines, err = e.agentGoroutines(ctx)
	case "containerd":
		u.Goroutines, err = stacks(ctx, pid)
	}
	return u, err
}

// privateMemory is in KiB.
// Source: Linux, Documentation/filesystems/proc.rst, smaps_rollup.
func privateMemory(pid int) (int, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "Private_Dirty:" {
			return strconv.Atoi(fields[1])
		}
	}
	return 0, fmt.Errorf("no Private_Dirty of %d", pid)
}

// agentGoroutines asks the agent.
func (e *Engine) agentGoroutines(ctx context.Context) (int, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(e.Root, "run", "agent.sock"))
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent/version", nil)
	if err != nil {
		return 0, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, fmt.Errorf("ask the agent: %w", err)
	}
	defer resp.Body.Close()
	var status struct{ Goroutines int }
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil || status.Goroutines == 0 {
		return 0, fmt.Errorf("the agent tells no number of goroutines: %w", err)
	}
	return status.Goroutines, nil
}

// stacks has containerd write down its goroutines, and counts them.
// Source: containerd, cmd/containerd/command, dumpStacks: SIGUSR1 makes it.
func stacks(ctx context.Context, pid int) (int, error) {
	path := filepath.Join(temporary(pid), fmt.Sprintf("containerd.%d.stacks.log", pid))
	defer os.Remove(path)
	if err := unix.Kill(pid, unix.SIGUSR1); err != nil {
		return 0, fmt.Errorf("ask containerd for its goroutines: %w", err)
	}
	var before []byte
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(path)
		if err == nil && len(b) > 0 && bytes.Equal(b, before) { // it is written whole by now
			return bytes.Count(b, []byte("\n\ngoroutine ")) + 1, nil
		}
		before = b
	}
	return 0, fmt.Errorf("containerd wrote no %s", path)
}

// temporary is the folder for temporary files that a process was given.
func temporary(pid int) string {
	environ, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	for variable := range bytes.SplitSeq(environ, []byte{0}) {
		if dir, ok := bytes.CutPrefix(variable, []byte("TMPDIR=")); ok {
			return string(dir)
		}
	}
	return "/tmp"
}
