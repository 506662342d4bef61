package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/project"
)

// The pipes of a container, in the folder layout.Root.Streams, and the file
// that tells the logger of them.
const (
	stdinPipe     = "stdin"
	stdoutPipe    = "stdout"
	stderrPipe    = "stderr"
	streamsReady  = "config.json"
	streamsMaking = "making" // while the task is being made
)

// streams are the pipes of one run of a container.
type streams struct {
	stdin, stdout, stderr string // paths; "" without
	held                  []int  // the pipes, open for both directions until release
}

// streamsConfig is what the logger has to know of a container.
type streamsConfig struct {
	project.Log
	TTY bool `json:"tty"`
}

// makeStreams makes fresh pipes for a run, and then tells the logger: its
// configuration appears last, in one piece.
//
// They are held open until release, so that the shim, which opens them for
// writing, never waits for a logger that is late, and so that what a
// container writes before the logger comes is not lost with the last writer.
// Files of an earlier run go first: a reader that still has one open keeps
// its own pipe, and never sees what the new run writes.
func (c *Client) makeStreams(id string, r project.Record) (_ *streams, retErr error) {
	dir := c.cfg.Root.Streams(id)
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("remove old streams: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make streams: %w", err)
	}
	s := &streams{stdout: filepath.Join(dir, stdoutPipe)}
	if !r.TTY {
		s.stderr = filepath.Join(dir, stderrPipe)
	}
	if r.Stdin {
		s.stdin = filepath.Join(dir, stdinPipe)
	}
	defer func() {
		if retErr != nil {
			s.release()
		}
	}()
	for _, path := range []string{s.stdin, s.stdout, s.stderr} {
		if path == "" {
			continue
		}
		if err := unix.Mkfifo(path, 0o600); err != nil {
			return nil, fmt.Errorf("make pipe %s: %w", filepath.Base(path), err)
		}
		if path == s.stdin { // the shim holds it open itself
			continue
		}
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("open pipe %s: %w", filepath.Base(path), err)
		}
		s.held = append(s.held, fd)
	}
	return s, announce(dir, streamsConfig{Log: r.Log, TTY: r.TTY})
}

// release lets go of the pipes.
func (s *streams) release() {
	for _, fd := range s.held {
		unix.Close(fd)
	}
	s.held = nil
}

// announce writes the configuration that the logger waits for.
func announce(dir string, cfg streamsConfig) error {
	data, err := json.Marshal(cfg)
	if err != nil {
		return fmt.Errorf("encode log configuration: %w", err)
	}
	temporary := filepath.Join(dir, "."+streamsReady)
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return fmt.Errorf("write log configuration: %w", err)
	}
	if err := os.Rename(temporary, filepath.Join(dir, streamsReady)); err != nil {
		return fmt.Errorf("write log configuration: %w", err)
	}
	return nil
}
