package process

import (
	"fmt"
	"os"
)

// A pid file is one line: pid, start time, and, from a process that has
// something to say of itself, one more word.

// WriteFile writes a process to a pid file, whole or not at all; word may be "".
func (p Process) WriteFile(path, word string) error {
	line := fmt.Sprintf("%d %d", p.PID, p.Start)
	if word != "" {
		line += " " + word
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(line+"\n"), 0o600); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	return nil
}

// ReadFile returns the process that a pid file names, and its word, also where
// it runs no more.
func ReadFile(path string) (p Process, word string, runs bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Process{}, "", false
	}
	if n, _ := fmt.Sscan(string(text), &p.PID, &p.Start, &word); n < 2 || p.PID <= 0 {
		return Process{}, "", false
	}
	return p, word, p.Alive()
}
