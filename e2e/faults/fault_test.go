package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/compose-first/compose/internal/enginetest"
)

// patience is how long a test waits for what has no time of its own to keep.
const patience = time.Minute

// fault is one kind of fault under test: its row in the table, the engine that
// suffers, and its project there.
type fault struct {
	*testing.T
	*enginetest.Engine
	ctx context.Context
	dir string // of the project
	row row

	bad     int  // tries that did not hold
	failing bool // the one under way does not
}

// begin starts a test with a Compose file on an engine. At its end the project
// is taken down, nothing may be left, and the row goes into the table.
func begin(t *testing.T, e *enginetest.Engine, what, file string) *fault {
	t.Helper()
	f := &fault{T: t, Engine: e, ctx: t.Context(), row: row{Fault: what}}
	name := strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))
	f.dir = f.project(name, file)
	t.Cleanup(func() {
		f.ctx = context.WithoutCancel(f.ctx)
		f.nothingLeft("down", "-v", "-t", "0", "--remove-orphans")
		f.row.Lost = f.bad
		f.row.Survived = f.row.Tried - f.bad
		table.add(f.row)
	})
	return f
}

// project writes a Compose file into a folder of its own.
func (f *fault) project(name, file string) string {
	f.Helper()
	dir := filepath.Join(f.Root, "work", name)
	if err := os.MkdirAll(filepath.Join(dir, "out"), 0o755); err != nil {
		f.Fatal(err)
	}
	f.write(filepath.Join(dir, "compose.yaml"), file)
	f.write(filepath.Join(dir, ".env"), "FAULT_KEY=secret\n")
	return dir
}

func (f *fault) write(path, content string) {
	f.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		f.Fatal(err)
	}
}

// try counts a try, and has it count as lost when act reports errors.
func (f *fault) try(act func()) {
	f.row.Tried++
	f.failing = false
	defer func() {
		if f.failing {
			f.bad++
		}
	}()
	act()
}

// Errorf, Error, Fatalf and Fatal are those of the test, and let the try under
// way count as lost.
func (f *fault) Errorf(format string, args ...any) {
	f.Helper()
	f.failing = true
	f.T.Errorf(format, args...)
}

func (f *fault) Error(args ...any) {
	f.Helper()
	f.failing = true
	f.T.Error(args...)
}

func (f *fault) Fatalf(format string, args ...any) {
	f.Helper()
	f.failing = true
	f.T.Fatalf(format, args...)
}

func (f *fault) Fatal(args ...any) {
	f.Helper()
	f.failing = true
	f.T.Fatal(args...)
}

// compose runs a command in the project's folder.
func (f *fault) compose(args ...string) enginetest.Result {
	return f.Engine.Run(f.ctx, f.dir, nil, args...)
}

// must runs a command that has to succeed, and returns what it wrote to stdout.
func (f *fault) must(args ...string) string {
	f.Helper()
	r := f.compose(args...)
	if r.Code != 0 {
		f.Fatalf("compose %v: exit %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// nothingLeft runs a command after which nothing of any project may be there.
func (f *fault) nothingLeft(command ...string) {
	f.Helper()
	if r := f.compose(command...); r.Code != 0 {
		f.Errorf("compose %v: exit %d\n%s%s", command, r.Code, r.Stdout, r.Stderr)
	}
	left, err := f.Leftovers(f.ctx)
	if err != nil {
		f.Error(err)
	}
	if len(left) > 0 {
		f.row.Leaked += len(left)
		f.Errorf("compose %v left %q", command, left)
	}
}

// one is a line of `compose ps --format json`.
type one struct {
	ID, Name, Service, State, Status, Health string
	ExitCode                                 int
}

// ps lists the project's containers by name.
func (f *fault) ps() map[string]one {
	f.Helper()
	return f.parse(f.must("ps", "-a", "--no-trunc", "--format", "json"))
}

func (f *fault) parse(lines string) map[string]one {
	f.Helper()
	all := map[string]one{}
	for line := range strings.Lines(lines) {
		var c one
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			f.Fatalf("ps wrote %q: %v", line, err)
		}
		all[c.Name] = c
	}
	return all
}

// named is the container of a service, of which there is one.
func (f *fault) named(service string) one {
	f.Helper()
	for _, c := range f.ps() {
		if c.Service == service {
			return c
		}
	}
	f.Fatalf("ps has no container of %s", service)
	return one{}
}

// states is "db running, web exited" for the project, sorted by service.
func (f *fault) states() string {
	f.Helper()
	lines := strings.Split(strings.TrimSpace(f.must("ps", "-a", "--format", "{{.Service}} {{.State}}")), "\n")
	return strings.Join(lines, ", ")
}

// until polls for at most limit, and returns how long it took. It is an error
// when the time runs out.
func (f *fault) until(limit time.Duration, what string, holds func() bool) time.Duration {
	f.Helper()
	start := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Since(start) > limit {
			f.Errorf("not within %v: %s", limit, what)
			break
		}
		select {
		case <-tick.C:
		case <-f.ctx.Done():
			f.Fatal(f.ctx.Err())
		}
	}
	return time.Since(start)
}

// kill ends a daemon's processes with SIGKILL.
func (f *fault) kill(daemon string) {
	f.Helper()
	if err := f.Kill(f.ctx, daemon); err != nil {
		f.Fatal(err)
	}
}

// tool builds a program of testdata, statically linked, and returns its path.
func (f *fault) tool(name string) string {
	f.Helper()
	path := filepath.Join(f.Root, "work", name)
	cmd := exec.CommandContext(f.ctx, "go", "build", "-o", path, "./testdata/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		f.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

// freePort is a TCP port of all addresses that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// answers reports whether something answers HTTP at a port of this machine.
func answers(port int) error {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	head := make([]byte, 5)
	if _, err := conn.Read(head); err != nil {
		return err
	}
	if string(head) != "HTTP/" {
		return fmt.Errorf("answer begins %q", head)
	}
	return nil
}

// sentence is one line that says an act and a thing: no stack, no dump.
var sentence = regexp.MustCompile(`^[^\n]{8,400}\n?$`)

// lastLine is the last line of what a command wrote to stderr.
func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
