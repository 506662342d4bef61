package bundle

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/compose-first/compose/internal/process"
)

// replaced tells whether a process runs another file than the one that is now
// at path: an older one, that is.
func replaced(p process.Process, path string) bool {
	now, err := os.Stat(path)
	if err != nil {
		return false // nothing that could be started in its place
	}
	runs, err := os.Stat(filepath.Join("/proc", strconv.Itoa(p.PID), "exe"))
	return err == nil && !os.SameFile(now, runs)
}

// processWithArgs looks for a program by its exact argument list: it finds a
// daemon whose starter was killed before the pid file was written.
func processWithArgs(args []string) (process.Process, bool) {
	want := []byte(strings.Join(args, "\x00") + "\x00")
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return process.Process{}, false
	}
	for _, file := range files {
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			if p, ok := process.Of(pid); ok {
				return p, true
			}
		}
	}
	return process.Process{}, false
}

// writeFile replaces a file at once, so that no reader sees half of it.
func writeFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// removeIfThere removes a file and does not mind its absence.
func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
