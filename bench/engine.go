package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// engine is a private engine of the measured binary, with the test image in it.
type engine struct {
	compose string // absolute path
	root    string // COMPOSE_ENGINE_ROOT
	work    string // project folders
}

func newEngine(ctx context.Context, o options) (_ *engine, retErr error) {
	binary, err := filepath.Abs(o.Compose)
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("/tmp", "cb")
	if err != nil {
		return nil, err
	}
	e := &engine{compose: binary, root: root, work: filepath.Join(root, "work")}
	defer func() {
		if retErr != nil {
			_ = e.close()
		}
	}()
	if _, err := e.run(ctx, root, "engine", "start"); err != nil {
		return nil, err
	}
	if _, err := e.run(ctx, root, "image", "load", "-q", "-i", absolute(o.Image)); err != nil {
		return nil, err
	}
	return e, nil
}

// close stops the engine and removes its root.
func (e *engine) close() error {
	if _, err := e.run(context.Background(), e.root, "engine", "stop", "--force"); err != nil {
		return err
	}
	return os.RemoveAll(e.root)
}

// project writes compose.yaml into a folder of that name and returns the folder.
func (e *engine) project(name, file string) (string, error) {
	dir := filepath.Join(e.work, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(file), 0o644)
}

// run runs the binary in dir and returns how long the whole process took.
func (e *engine) run(ctx context.Context, dir string, args ...string) (time.Duration, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, e.compose, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
	cmd.Env = append(os.Environ(), "COMPOSE_ENGINE_ROOT="+e.root)
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("compose %v: %w\n%s", args, err, out.Bytes())
	}
	return time.Since(start), nil
}

// timed is run, with its time added to what there is.
func (e *engine) timed(ctx context.Context, to *[]time.Duration, dir string, args ...string) error {
	d, err := e.run(ctx, dir, args...)
	*to = append(*to, d)
	return err
}

// socket is where the engine's containerd serves, builder where BuildKit does.
func (e *engine) socket() string  { return filepath.Join(e.root, "run", "containerd.sock") }
func (e *engine) builder() string { return filepath.Join(e.root, "run", "buildkitd.sock") }

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
