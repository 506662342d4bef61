package logger

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/logfile"
	"github.com/compose-first/compose/project"
)

// The test binary is also the processes that the tests need: a logger to be
// killed, and shims that write to pipes.
const roleVariable = "LOGGER_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "logger":
		os.Exit(beLogger(os.Args[1]))
	case "shim":
		os.Exit(beShim(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func beLogger(dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	if err := Run(ctx, Config{Root: rootIn(dir), Ready: func() { fmt.Println("ready") }}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// beShim writes lines "0 x", "1 x", … to the pipe args[0], args[1] of them,
// args[2] a millisecond, in writes of one line. As a shim does, it holds the
// reading side open too.
func beShim(args []string) int {
	count, _ := strconv.Atoi(args[1])
	perMilli, _ := strconv.Atoi(args[2])
	w, err := os.OpenFile(args[0], os.O_RDWR, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	pad := strings.Repeat("x", 40)
	for i := 0; i < count; i++ {
		if i%perMilli == 0 {
			time.Sleep(time.Millisecond)
		}
		if _, err := fmt.Fprintf(w, "%d %s\n", i, pad); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

func rootIn(dir string) layout.Root {
	return layout.Root{State: filepath.Join(dir, "lib"), Run: filepath.Join(dir, "run")}
}

// role starts the test binary as something else. It ends with the test.
func role(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+name)
	cmd.Stderr = os.Stderr
	t.Cleanup(func() {
		if cmd.Process != nil && cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd
}

// startLogger starts a logger and returns once it has picked up what is there.
func startLogger(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := role(t, "logger", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("logger said %q, %v", line, err)
	}
	return cmd
}

// newContainer makes what the engine makes when it starts a container.
func newContainer(t *testing.T, root layout.Root, id string, log project.Log, streams ...string) {
	t.Helper()
	for _, dir := range []string{root.Container(id), root.Streams(id)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range streams {
		if err := unix.Mkfifo(filepath.Join(root.Streams(id), s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(config{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	temporary := filepath.Join(root.Streams(id), "config.tmp")
	if err := os.WriteFile(temporary, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(root.Streams(id), configName)); err != nil {
		t.Fatal(err)
	}
}

// run is a logger in this process.
func run(t *testing.T, root layout.Root) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- Run(ctx, Config{Root: root, Ready: func() { close(ready) }}) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("run: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// openWriter opens a stream as a shim does.
func openWriter(t *testing.T, root layout.Root, id, stream string) *os.File {
	t.Helper()
	w, err := os.OpenFile(filepath.Join(root.Streams(id), stream), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// raw is what a container has written to a stream, as its log has it.
func raw(t *testing.T, root layout.Root, id, stream string) string {
	t.Helper()
	var b strings.Builder
	err := logfile.Read(context.Background(), root.ContainerLog(id), logfile.Options{Tail: -1}, func(e logfile.Entry) error {
		if e.Stream == stream {
			b.Write(e.Text)
			if !e.Partial {
				b.WriteByte('\n')
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// until polls until a condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func write(t *testing.T, w *os.File, s string) {
	t.Helper()
	if _, err := w.WriteString(s); err != nil {
		t.Fatal(err)
	}
}

func TestBytesAreKept(t *testing.T) {
	root := rootIn(t.TempDir())
	run(t, root)
	newContainer(t, root, "a", project.Log{}, "stdout", "stderr")
	out, errs := openWriter(t, root, "a", "stdout"), openWriter(t, root, "a", "stderr")
	long := strings.Repeat("0123456789", 5000) + "\n"
	var want string
	for _, s := range []string{"one\ntwo\r\n", "\x1b[1mprompt> ", "\x00\xff", "\n\n", long, "no newline"} {
		write(t, out, s)
		want += s
		until(t, "output in the log", func() bool { return raw(t, root, "a", "stdout") == want })
	}
	write(t, errs, "other\n")
	until(t, "errors in the log", func() bool { return raw(t, root, "a", "stderr") == "other\n" })
	out.Close()
	errs.Close()
	until(t, "the mark of the end", func() bool { return logfile.Drained(root.Streams("a")) })
	info, err := os.Stat(root.ContainerLog("a"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestSecondStartOfAContainer(t *testing.T) {
	root := rootIn(t.TempDir())
	run(t, root)
	newContainer(t, root, "a", project.Log{}, "stdout")
	w := openWriter(t, root, "a", "stdout")
	write(t, w, "first\n")
	until(t, "the first start's output", func() bool { return raw(t, root, "a", "stdout") == "first\n" })
	w.Close()
	until(t, "the mark of the end", func() bool { return logfile.Drained(root.Streams("a")) })
	if err := os.RemoveAll(root.Streams("a")); err != nil {
		t.Fatal(err)
	}
	newContainer(t, root, "a", project.Log{}, "stdout")
	w = openWriter(t, root, "a", "stdout")
	write(t, w, "second\n")
	until(t, "the second start's output", func() bool { return raw(t, root, "a", "stdout") == "first\nsecond\n" })
}

func TestRotation(t *testing.T) {
	root := rootIn(t.TempDir())
	run(t, root)
	newContainer(t, root, "a", project.Log{MaxSize: 1000, MaxFile: 3}, "stdout")
	w := openWriter(t, root, "a", "stdout")
	for i := range 200 {
		write(t, w, fmt.Sprintf("line %03d\n", i))
	}
	until(t, "the last line", func() bool { return strings.HasSuffix(raw(t, root, "a", "stdout"), "line 199\n") })
	files, err := filepath.Glob(root.ContainerLog("a") + "*")
	if err != nil || len(files) != 3 {
		t.Errorf("files %v, %v", files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() > 1000 {
			t.Errorf("%s: %v, %v", f, info.Size(), err)
		}
	}
	lines := strings.Split(strings.TrimSpace(raw(t, root, "a", "stdout")), "\n")
	for i, l := range lines {
		if want := fmt.Sprintf("line %03d", 200-len(lines)+i); l != want {
			t.Fatalf("line %d is %q, want %q", i, l, want)
		}
	}
}

func TestRemovedContainerLeavesNothing(t *testing.T) {
	root := rootIn(t.TempDir())
	run(t, root)
	newContainer(t, root, "a", project.Log{}, "stdout")
	w := openWriter(t, root, "a", "stdout")
	write(t, w, "x\n")
	until(t, "output in the log", func() bool { return raw(t, root, "a", "stdout") == "x\n" })
	for _, dir := range []string{root.Container("a"), root.Streams("a")} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	write(t, w, "y\n")
	newContainer(t, root, "b", project.Log{}, "stdout")
	write(t, openWriter(t, root, "b", "stdout"), "z\n")
	until(t, "the next container's output", func() bool { return raw(t, root, "b", "stdout") == "z\n" })
	if _, err := os.Stat(root.Container("a")); !os.IsNotExist(err) {
		t.Errorf("the folder is there again: %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	root := rootIn(dir)
	if err := os.MkdirAll(root.State, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", root.State, "tmpfs", 0, "size=128k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root.State, unix.MNT_DETACH) })
	run(t, root)
	newContainer(t, root, "a", project.Log{}, "stdout")
	ballast := filepath.Join(root.State, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 40<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	w := openWriter(t, root, "a", "stdout")
	line := strings.Repeat("a", 99) + "\n"
	for range 3000 { // 300 KB: far more than pipe and disk hold
		write(t, w, line)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	until(t, "output after space is back", func() bool {
		write(t, w, "back\n")
		return strings.Contains(raw(t, root, "a", "stdout"), "back\n")
	})
	until(t, "the mark of the gap", func() bool { return strings.Contains(raw(t, root, "a", "stderr"), "lost here") })
	b, err := os.ReadFile(root.ContainerLog("a"))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		if _, err := logfile.Parse([]byte(l)); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
	}
}

// TestKilledLogger kills the logger again and again while containers write:
// nothing is lost, nothing doubled.
func TestKilledLogger(t *testing.T) {
	dir := t.TempDir()
	root := rootIn(dir)
	if err := os.MkdirAll(root.Run, 0o700); err != nil {
		t.Fatal(err)
	}
	const containers, lines = 4, 10000
	streams := []string{"stdout", "stderr"}
	var shims []*exec.Cmd
	for i := range containers {
		id := fmt.Sprint("c", i)
		log := project.Log{}
		if i%2 == 1 {
			log = project.Log{MaxSize: 100 << 10, MaxFile: 1000}
		}
		newContainer(t, root, id, log, streams...)
		for _, s := range streams {
			shim := role(t, "shim", filepath.Join(root.Streams(id), s), fmt.Sprint(lines), "10")
			if err := shim.Start(); err != nil {
				t.Fatal(err)
			}
			shims = append(shims, shim)
			// Somebody else than the logger has the pipe open for reading, so
			// that what is in it outlives its writer.
			fd, err := unix.Open(filepath.Join(root.Streams(id), s), unix.O_RDONLY|unix.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Close(fd) })
		}
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for _, s := range shims {
			if err := s.Wait(); err != nil {
				t.Error(err)
			}
		}
	}()
	kills := 0
	for over := false; !over; kills++ {
		l := startLogger(t, dir)
		select {
		case <-finished:
			over = true
		case <-time.After(time.Duration(rand.IntN(60)) * time.Millisecond):
		}
		sig := syscall.SIGKILL
		if kills%4 == 3 {
			sig = syscall.SIGTERM
		}
		if err := l.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = l.Wait()
	}
	t.Logf("killed %d times", kills)
	run(t, root)
	for i := range containers {
		id := fmt.Sprint("c", i)
		until(t, "the mark of the end", func() bool { return logfile.Drained(root.Streams(id)) })
		for _, s := range streams {
			checkNumbered(t, id+" "+s, raw(t, root, id, s), lines)
		}
	}
}

// checkNumbered checks that text is the lines that beShim writes.
func checkNumbered(t *testing.T, name, text string, count int) {
	t.Helper()
	got := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, l := range got {
		number, _, _ := strings.Cut(l, " ")
		if number != strconv.Itoa(i) {
			t.Errorf("%s: line %d is %q", name, i, l)
			return
		}
	}
	if len(got) != count {
		t.Errorf("%s: %d lines, want %d", name, len(got), count)
	}
}

// TestDriverNone holds that output which is not to be kept can still be read
// by those who are attached, and takes little room.
func TestDriverNone(t *testing.T) {
	root := rootIn(t.TempDir())
	run(t, root)
	newContainer(t, root, "a", project.Log{Driver: "none"}, "stdout")
	w := openWriter(t, root, "a", "stdout")
	line := strings.Repeat("n", 999) + "\n"
	for range 2000 {
		write(t, w, line)
	}
	write(t, w, "last\n")
	until(t, "the last line", func() bool { return strings.HasSuffix(raw(t, root, "a", "stdout"), "last\n") })
	files, err := filepath.Glob(root.ContainerLog("a") + "*")
	if err != nil || len(files) > noneMaxFile {
		t.Errorf("files %v, %v", files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() > noneMaxSize {
			t.Errorf("%s: %v, %v", f, info.Size(), err)
		}
	}
}
