// Package healthlog is the file in which the agent keeps the last probes of a
// container's health check, for those who show them: inspect, and the error of
// a command that waited for the container in vain.
package healthlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Bounds of what is kept: probes, and bytes of output of each.
// Source: Docker Engine, daemon/health.go, which inspect shows the same of.
const (
	MaxProbes = 5
	MaxOutput = 4096
)

// Log is the health of one run of a container. Its form is that of
// State.Health in docker inspect.
type Log struct {
	Status        string  // "starting", "healthy", "unhealthy"
	FailingStreak int     // failures in a row that counted
	Log           []Probe // oldest first, at most MaxProbes
}

// Probe is one run of the check.
type Probe struct {
	Start    time.Time
	End      time.Time
	ExitCode int // -1: the probe ran too long, or could not be run
	Output   string
}

// Add appends a probe, its output cut to MaxOutput, and forgets the oldest
// beyond MaxProbes.
func (l *Log) Add(p Probe) {
	if len(p.Output) > MaxOutput {
		p.Output = p.Output[:MaxOutput]
	}
	l.Log = append(l.Log, p)
	if n := len(l.Log) - MaxProbes; n > 0 {
		l.Log = append([]Probe(nil), l.Log[n:]...)
	}
}

// Read returns the log at path; an empty one when there is none.
func Read(path string) (Log, error) {
	var l Log
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("read health log: %w", err)
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return Log{}, fmt.Errorf("read health log %s: %w", path, err)
	}
	return l, nil
}

// Write replaces the log at path, whole or not at all (0600).
func Write(path string, l Log) error {
	b, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("write health log: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write health log: %w", err)
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, b, 0o600); err != nil {
		return fmt.Errorf("write health log: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write health log: %w", err)
	}
	return nil
}
