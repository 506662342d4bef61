package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is a running program. The kernel gives a pid to another program once
// the first has ended; pid and start time together name one program alone.
type process struct {
	pid   int
	start uint64 // clock ticks after boot, /proc/PID/stat
}

// processOf returns the process that now has a pid; false when there is none,
// or only its exit status is left.
func processOf(pid int) (process, bool) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return process{}, false
	}
	// The second field, the name in parentheses, may itself hold blanks and
	// parentheses: the fixed fields begin after the last one.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const state, startTime = 0, 19 // fields 3 and 22 as proc(5) counts
	if len(fields) <= startTime || fields[state] == "Z" || fields[state] == "X" {
		return process{}, false
	}
	start, err := strconv.ParseUint(fields[startTime], 10, 64)
	if err != nil {
		return process{}, false
	}
	return process{pid: pid, start: start}, true
}

// alive tells whether the same program still runs.
func (p process) alive() bool {
	now, ok := processOf(p.pid)
	return ok && now == p
}

// replaced tells whether the process runs another file than the one that is
// now at path: an older one, that is.
func (p process) replaced(path string) bool {
	now, err := os.Stat(path)
	if err != nil {
		return false // nothing that could be started in its place
	}
	runs, err := os.Stat(filepath.Join("/proc", strconv.Itoa(p.pid), "exe"))
	return err == nil && !os.SameFile(now, runs)
}

// readPidFile returns the process that a pid file names, if it still runs.
func readPidFile(path string) (process, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return process{}, false
	}
	var p process
	if _, err := fmt.Sscan(string(text), &p.pid, &p.start); err != nil || !p.alive() {
		return process{}, false
	}
	return p, true
}

// writePidFile records a process, whole or not at all: pid, blank, start time.
func writePidFile(path string, p process) error {
	return writeFile(path, fmt.Appendf(nil, "%d %d\n", p.pid, p.start))
}

// writeFile replaces a file at once, so that no reader sees half of it.
func writeFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// processWithArgs looks for a program by its exact argument list: it finds a
// daemon whose starter was killed before the pid file was written.
func processWithArgs(args []string) (process, bool) {
	want := []byte(strings.Join(args, "\x00") + "\x00")
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return process{}, false
	}
	for _, file := range files {
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			if p, ok := processOf(pid); ok {
				return p, true
			}
		}
	}
	return process{}, false
}

// end asks a process to end, insists after grace, and returns once it is gone.
func (p process) end(ctx context.Context, grace time.Duration) error {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", p.pid, err)
	}
	defer unix.Close(fd)
	if !p.alive() { // after opening: from here on the descriptor means this program
		return nil
	}
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal process %d: %w", p.pid, err)
		}
		gone, err := awaitExit(ctx, fd, grace)
		if gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("process %d does not end", p.pid)
}

// awaitExit reports whether the process behind a pidfd ended within limit.
func awaitExit(ctx context.Context, fd int, limit time.Duration) (bool, error) {
	const slice = 50 * time.Millisecond // between looks at ctx; an exit is seen at once
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(slice.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false, fmt.Errorf("await exit: %w", err)
		}
		if n > 0 {
			return true, nil
		}
	}
	return false, nil
}

// removeIfThere removes a file and does not mind its absence.
func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
