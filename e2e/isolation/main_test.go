// Package isolation plays those who want in: containers of other projects,
// hosts of the same network, images and volumes with traps in them. What they
// try has to fail, and beside each attempt stands one that shows that the same
// try succeeds where it may. docs/security.md says which promise each test holds.
package isolation

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-first/compose/internal/enginetest"
)

// patience is how long something may take that does not happen at once.
const patience = 20 * time.Second

var (
	engine *enginetest.Engine // that of all tests
	probe  string             // the program that tries things inside containers
)

func TestMain(m *testing.M) { os.Exit(withEngine(m)) }

// withEngine runs the tests and then checks that nothing is left of them.
func withEngine(m *testing.M) int {
	ctx := context.Background()
	e, err := enginetest.New(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "start the engine:", err)
		return 1
	}
	engine = e
	code := 1
	if err := os.Chmod(e.Root, 0o711); err != nil { // what is closed is closed by the engine's own folders
		fmt.Fprintln(os.Stderr, err)
	} else if err := e.LoadBusybox(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else if probe, err = buildProbe(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	if err := e.Close(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "after the last test:", err)
		return 1
	}
	return code
}

func buildProbe(ctx context.Context) (string, error) {
	path := filepath.Join(engine.Root, "bin", "probe")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the probe: %w\n%s", err, out)
	}
	return path, nil
}

// shop is a project under test, named for its folder.
type shop struct {
	*testing.T
	name, dir string
	env       []string // KEY=value, besides the engine's
}

// open writes a project's files, NAME and content in turn, the first of which
// is its Compose file. At the end of the test all of it is taken down.
func open(t *testing.T, name string, files ...string) *shop {
	t.Helper()
	s := &shop{T: t, name: name, dir: filepath.Join(engine.Root, "work", name)}
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(s.dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if t.Failed() {
			t.Logf("%s", engine.Run(ctx, "/", nil, "-p", name, "ps", "-a").Stdout)
		}
		if r := engine.Run(ctx, "/", nil, "-p", name, "down", "-v", "-t", "0", "--remove-orphans"); r.Code != 0 {
			t.Errorf("down: exit %d\n%s", r.Code, r.Stderr)
		}
	})
	return s
}

// run runs a command of the project.
func (s *shop) run(args ...string) enginetest.Result {
	cmd := engine.Command(context.Background(), s.dir, args...)
	cmd.Env = append(cmd.Env, s.env...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	r := enginetest.Result{Stdout: out.String(), Stderr: errs.String()}
	if err != nil {
		r.Code = cmd.ProcessState.ExitCode()
	}
	return r
}

// must runs a command that has to succeed, and returns its standard output.
func (s *shop) must(args ...string) string {
	s.Helper()
	r := s.run(args...)
	if r.Code != 0 {
		s.Fatalf("compose %s: exit %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// id is the container of a service.
func (s *shop) id(service string) string {
	s.Helper()
	return strings.TrimSpace(s.must("ps", "-q", service))
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond) // until the next look; the deadline decides
	}
}
