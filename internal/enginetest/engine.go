// Package enginetest gives tests a private engine of the built binary: its own
// root, so that it shares nothing with another engine on the machine, and a
// list of all that is still there when nothing should be.
//
// It drives the binary from outside and looks at the kernel and at containerd,
// never at the binary's insides, so that a test stays true when those change.
package enginetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Engine is a private engine.
type Engine struct {
	Binary  string // the compose binary, absolute
	Libexec string // its engine binaries
	Root    string // COMPOSE_ENGINE_ROOT
	disk    string // what is mounted for it by its test; "" is nothing

	before map[int]bool // interfaces of the machine at the start
}

// Repository is the top folder of the source, found from the folder of the
// test that runs.
func Repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == "/" {
			return "", errors.New("no go.mod in this folder or above it")
		}
	}
}

// New builds the binary from source and starts an engine of its own with it.
// COMPOSE_LIBEXEC, else libexec/compose of the source, has the engine's binaries.
func New(ctx context.Context) (_ *Engine, retErr error) {
	repository, err := Repository()
	if err != nil {
		return nil, err
	}
	// Sockets have at most 108 bytes for their path: keep the root short.
	root, err := os.MkdirTemp("/tmp", "ce")
	if err != nil {
		return nil, err
	}
	e := &Engine{Root: root, Binary: filepath.Join(root, "bin", "compose"), Libexec: os.Getenv("COMPOSE_LIBEXEC")}
	if e.Libexec == "" {
		e.Libexec = filepath.Join(repository, "libexec", "compose")
	}
	defer func() {
		if retErr != nil {
			_ = os.RemoveAll(root)
		}
	}()
	if err := build(ctx, repository, e.Binary, ""); err != nil {
		return nil, err
	}
	return e, e.start(ctx)
}

// OtherBuild builds the binary once more, otherwise, and returns this engine as
// one has it who has that binary. It says that it is of the same version.
func (e *Engine) OtherBuild(ctx context.Context) (*Engine, error) {
	repository, err := Repository()
	if err != nil {
		return nil, err
	}
	other := *e
	other.Binary = filepath.Join(e.Root, "bin", "other", "compose")
	return &other, build(ctx, repository, other.Binary, "-s") // without symbols
}

// build builds the binary from source.
func build(ctx context.Context, repository, path, ldflags string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", ldflags, "-o", path, "./cmd/compose")
	cmd.Dir = repository
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	return nil
}

// start brings the engine up.
func (e *Engine) start(ctx context.Context) (err error) {
	if e.before, err = allLinks(); err != nil {
		return err
	}
	if r := e.Run(ctx, e.Root, nil, "engine", "start"); r.Code != 0 {
		return fmt.Errorf("start the engine: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	return nil
}

// Environment is that of the tests, with this engine's root and the binary in
// front of PATH; the variables that steer compose are not passed on.
func (e *Engine) Environment() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "COMPOSE_") && !strings.HasPrefix(kv, "CONTAINERD_") && !strings.HasPrefix(kv, "PATH=") {
			env = append(env, kv)
		}
	}
	return append(env,
		"COMPOSE_ENGINE_ROOT="+e.Root,
		"COMPOSE_LIBEXEC="+e.Libexec,
		"PATH="+filepath.Dir(e.Binary)+":"+os.Getenv("PATH"),
	)
}

// Command is the binary with args, in dir, not started yet.
func (e *Engine) Command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.Binary, args...)
	cmd.Dir, cmd.Env = dir, e.Environment()
	return cmd
}

// Result is how a command ended. Code is -1 when a signal ended it.
type Result struct {
	Stdout, Stderr string
	Code           int
	Took           time.Duration
}

// Run runs the binary to its end.
func (e *Engine) Run(ctx context.Context, dir string, stdin []byte, args ...string) Result {
	var out, errs bytes.Buffer
	cmd := e.Command(ctx, dir, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	start := time.Now()
	err := cmd.Run()
	r := Result{Stdout: out.String(), Stderr: errs.String(), Took: time.Since(start)}
	if err != nil {
		r.Code = -1
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			r.Code = exit.ExitCode()
		} else {
			r.Stderr += err.Error()
		}
	}
	return r
}

// Close stops the engine, says what is left of it, and removes its root.
func (e *Engine) Close(ctx context.Context) error {
	left, err := e.Leftovers(ctx)
	if err != nil {
		return err
	}
	if r := e.Run(ctx, e.Root, nil, "engine", "stop", "--force"); r.Code != 0 {
		left = append(left, fmt.Sprintf("engine stop: exit %d: %s", r.Code, r.Stderr))
	}
	after, err := e.remains(ctx)
	if err != nil {
		return err
	}
	if left = append(left, after...); len(left) > 0 {
		return fmt.Errorf("left behind:\n  %s", strings.Join(left, "\n  "))
	}
	if err := e.unmountDisk(); err != nil {
		return err
	}
	return os.RemoveAll(e.Root)
}
