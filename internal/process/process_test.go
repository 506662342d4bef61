package process_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/process"
)

// headlessVariable makes the test binary a process whose first thread ends
// while the others run on, until somebody writes to its input.
const headlessVariable = "PROCESS_TEST_HEADLESS"

func init() {
	if os.Getenv(headlessVariable) == "" {
		return
	}
	runtime.LockOSThread() // main runs on the first thread, as init does
	go func() {
		for { // until the first thread has ended
			stat, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", os.Getpid()))
			if err == nil && string(stat[len(fmt.Sprintf("%d (%s) ", os.Getpid(), comm())):][:1]) == "Z" {
				break
			}
			runtime.Gosched()
		}
		fmt.Println("headless")
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	_, _, _ = syscall.Syscall(unix.SYS_EXIT, 0, 0, 0)
}

func comm() string {
	name, _ := os.ReadFile("/proc/self/comm")
	return string(name[:len(name)-1])
}

// patience is how long a process may take to do what it will certainly do.
const patience = 30 * time.Second

// start starts a shell script that writes a line once it is ready, and returns
// it when it is. Whoever reaps it is the test's to say.
func start(t *testing.T, script string) (*exec.Cmd, process.Process) {
	t.Helper()
	return begin(t, exec.Command("sh", "-c", script))
}

func begin(t *testing.T, cmd *exec.Cmd) (*exec.Cmd, process.Process) {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	p, runs := process.Of(cmd.Process.Pid)
	if !runs || p.Start == 0 || !p.Alive() {
		t.Fatalf("%+v does not run", p)
	}
	return cmd, p
}

func TestParent(t *testing.T) {
	cmd, _ := start(t, "echo; exec sleep 1000")
	if got := process.Parent(cmd.Process.Pid); got != os.Getpid() {
		t.Errorf("parent is %d", got)
	}
	if got := process.Parent(1 << 30); got != 0 {
		t.Errorf("parent of nobody is %d", got)
	}
}

// One whose name looks like the fields behind it is read all the same.
func TestStrangeName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a) Z 1 (b")
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(sleep, path); err != nil {
		t.Fatal(err)
	}
	cmd, p := start(t, "echo; exec '"+path+"' 1000")
	for process.Parent(cmd.Process.Pid) == os.Getpid() {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		if string(name) == "a) Z 1 (b\n" {
			break
		}
	}
	if now, runs := process.Of(cmd.Process.Pid); !runs || now != p {
		t.Errorf("%+v, then %+v", p, now)
	}
}

func TestEndAsks(t *testing.T) {
	cmd, p := start(t, `trap 'exit 7' TERM; echo; while :; do sleep 0.01; done`)
	if err := p.End(t.Context(), patience); err != nil {
		t.Fatal(err)
	}
	if p.Alive() {
		t.Error("it is alive")
	}
	if _, runs := process.Of(p.PID); runs {
		t.Error("one of which the exit status is left alone counts as running")
	}
	_ = cmd.Wait() // its exit code is looked at
	if code := cmd.ProcessState.ExitCode(); code != 7 {
		t.Errorf("it was not asked: %v", cmd.ProcessState)
	}
	if err := p.End(t.Context(), patience); err != nil {
		t.Errorf("of one that is gone: %v", err)
	}
}

func TestEndInsists(t *testing.T) {
	cmd, p := start(t, `trap '' TERM; echo; while :; do sleep 0.01; done`)
	if err := p.End(t.Context(), 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if p.Alive() {
		t.Error("it is alive")
	}
	_ = cmd.Wait()
	if s := cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != syscall.SIGKILL {
		t.Errorf("it ended by %v", cmd.ProcessState)
	}
}

func TestKillDoesNotAsk(t *testing.T) {
	cmd, p := start(t, `trap 'exit 7' TERM; echo; while :; do sleep 0.01; done`)
	if err := p.Kill(t.Context(), patience); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if s := cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != syscall.SIGKILL {
		t.Errorf("it ended by %v", cmd.ProcessState)
	}
}

// A process that has got the pid of another is nobody's to wait for or to end.
func TestStrangerIsSpared(t *testing.T) {
	_, p := start(t, "echo; exec sleep 1000")
	before := process.Process{PID: p.PID, Start: p.Start - 1}
	if before.Alive() {
		t.Error("another with the same pid counts as the one before")
	}
	if err := before.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	for _, err := range []error{before.End(t.Context(), patience), before.Kill(t.Context(), patience)} {
		if err != nil {
			t.Error(err)
		}
	}
	if !p.Alive() {
		t.Error("it was ended")
	}
}

func TestWait(t *testing.T) {
	_, p := start(t, "echo; exec sleep 1000")
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 2)
	go func() { waiting <- p.Wait(ctx) }()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	go func() { waiting <- p.Wait(t.Context()) }()
	select {
	case err := <-waiting:
		t.Errorf("it waits no longer although the process runs: %v", err)
	default:
	}
	if err := unix.Kill(p.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	if p.Alive() {
		t.Error("it is alive")
	}
}

// The first thread of a process may end before the others, as it does in one
// that is killed.
func TestFirstThreadEnds(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), headlessVariable+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	_, p := begin(t, cmd) // alive, says begin
	waiting := make(chan error, 1)
	go func() { waiting <- p.Wait(t.Context()) }()
	if _, err := stdin.Write([]byte("x")); err != nil {
		t.Fatalf("it did not wait: %v", err)
	}
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	if p.Alive() {
		t.Error("it is alive")
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	if _, _, runs := process.ReadFile(path); runs {
		t.Error("one that no file names runs")
	}
	_, p := start(t, "echo; exec sleep 1000")
	for _, want := range []string{"", "ready"} {
		if err := p.WriteFile(path, want); err != nil {
			t.Fatal(err)
		}
		if got, word, runs := process.ReadFile(path); got != p || word != want || !runs {
			t.Errorf("wrote %v %q, read %v %q %t", p, want, got, word, runs)
		}
	}
	if err := p.Kill(t.Context(), patience); err != nil {
		t.Fatal(err)
	}
	if _, word, runs := process.ReadFile(path); word != "ready" || runs {
		t.Errorf("of one that is gone: %q %t", word, runs)
	}
	for _, text := range []string{"", "x", "12", "-1 5", "0 5", "1 x"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if p, _, runs := process.ReadFile(path); runs {
			t.Errorf("%q is read as %v", text, p)
		}
	}
}
