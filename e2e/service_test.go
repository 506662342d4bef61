package e2e

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/enginetest"
)

// smallDisk is how large the disk of an engine of one test is, in bytes.
const smallDisk = 256 << 20

const serviceProject = `
name: service
services:
  web: {image: busybox, command: [sleep, "100000"], init: true, restart: always, depends_on: [db]}
  db: {image: busybox, command: [sleep, "100000"], init: true, restart: unless-stopped}
`

// The engine as a service of systemd. What systemd does is done here: its
// socket is a real one, its signals are sent, and its restart is a second run.
func TestService(t *testing.T) {
	t.Parallel()
	own := smallEngine(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(serviceProject), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, own, dir, "up", "-d")
	before := own.Contained("")

	// It takes over what runs, and tells systemd.
	first := startService(t, own)
	first.hears(t, "READY=1")
	first.hears(t, "WATCHDOG=1")

	// A containerd that hangs is no sign of life.
	hung := own.Daemons("containerd")[0].PID
	if err := unix.Kill(hung, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	first.hears(t, "STATUS=the engine does not answer")

	// The watchdog ends it, and nothing else ends.
	if code := first.end(t); code != 0 {
		t.Errorf("told to end: exit code %d", code)
	}
	runOn(t, own, before)

	// Started again, it replaces what hangs, and containers do not notice.
	second := startService(t, own)
	second.hears(t, "READY=1")
	second.hears(t, "WATCHDOG=1")
	if now := own.Daemons("containerd"); len(now) != 1 || now[0].PID == hung {
		t.Errorf("containerd was process %d, is %v", hung, now)
	}
	runOn(t, own, before)

	// Stopped by hand, the engine stays so, without what would be restarted.
	must(t, own, dir, "engine", "stop", "--force")
	if code := second.wait(t); code != 3 {
		t.Errorf("after engine stop: exit code %d, want 3", code)
	}
	if now := own.Contained(""); len(now) > 0 {
		t.Errorf("processes %v are left", now)
	}

	// The next start has all containers back.
	must(t, own, dir, "engine", "start")
	if err := own.NetworkThere(2); err != nil {
		t.Errorf("after the engine's start: %v", err)
	}
	if out := must(t, own, dir, "ps", "--services"); strings.Join(strings.Fields(out), " ") != "db web" {
		t.Errorf("after the engine's start there is %q", out)
	}
	must(t, own, dir, "down", "-t", "0")
}

// smallEngine is an engine of the test's own, with an image, on a small disk.
func smallEngine(t *testing.T) *enginetest.Engine {
	t.Helper()
	own, err := engine.SmallDisk(t.Context(), smallDisk)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := own.LoadBusybox(t.Context()); err != nil {
		t.Fatal(err)
	}
	return own
}

// runOn fails the test unless processes that were in containers still are.
func runOn(t *testing.T, e *enginetest.Engine, before []int) {
	t.Helper()
	now := e.Contained("")
	for _, pid := range before {
		if !slices.Contains(now, pid) {
			t.Errorf("process %d of a container is gone: there were %v, and are %v", pid, before, now)
		}
	}
}

func must(t *testing.T, e *enginetest.Engine, dir string, args ...string) string {
	t.Helper()
	r := e.Run(t.Context(), dir, nil, args...)
	if r.Code != 0 {
		t.Fatalf("compose %s: exit %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// service is an `engine run`, and the socket on which it reports.
type service struct {
	cmd    *exec.Cmd
	socket *net.UnixConn
	log    *bytes.Buffer // to be read once it has ended
	exited chan struct{}
}

func startService(t *testing.T, e *enginetest.Engine) *service {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	s := &service{cmd: e.Command(t.Context(), "/", "engine", "run"), socket: socket, log: &bytes.Buffer{}, exited: make(chan struct{})}
	s.cmd.Env = append(s.cmd.Env, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=1500000")
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait() // its state tells
		close(s.exited)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.exited
		socket.Close()
		if t.Failed() {
			t.Logf("engine run said:\n%s", s.log)
		}
	})
	return s
}

// hears waits for a message that holds text.
func (s *service) hears(t *testing.T, text string) {
	t.Helper()
	if err := s.socket.SetReadDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	for buffer := make([]byte, 64<<10); ; {
		n, err := s.socket.Read(buffer)
		if err != nil {
			t.Fatalf("waiting for %q: %v", text, err)
		}
		if strings.Contains(string(buffer[:n]), text) {
			return
		}
	}
}

// end sends what systemd sends, and returns the exit code.
func (s *service) end(t *testing.T) int {
	t.Helper()
	if err := s.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	return s.wait(t)
}

func (s *service) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-s.exited:
		return s.cmd.ProcessState.ExitCode()
	case <-time.After(2 * patience):
		t.Fatal("engine run does not end")
		return -1
	}
}
