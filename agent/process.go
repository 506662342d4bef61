package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is a running program: pid and start time together name one alone.
type process struct {
	pid   int
	start uint64 // clock ticks after boot
}

// processOf returns the process that now has a pid.
// Source: proc(5), /proc/pid/stat, fields 3 and 22.
func processOf(pid int) (process, bool) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return process{}, false
	}
	// Names may hold blanks and parentheses: fields are counted from behind the last.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return process{}, false
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	return process{pid: pid, start: start}, err == nil
}

// What a process writes of itself into its pid file.
const (
	stageStarting = "starting"
	stageReady    = "ready" // the logger has all pipes open, the agent serves names
)

// writePid writes this process to a pid file, whole or not at all.
func writePid(path, stage string) error {
	p, ok := processOf(os.Getpid())
	if !ok {
		return errors.New("write pid file: no /proc")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	if err := os.WriteFile(path+".new", fmt.Appendf(nil, "%d %d %s\n", p.pid, p.start, stage), 0o600); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	return nil
}

// readPid returns the process that a pid file names, if it still runs.
func readPid(path string) (process, bool) {
	p, _, ok := readStage(path)
	return p, ok
}

// readStage is readPid with what the process says of itself.
func readStage(path string) (p process, stage string, runs bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return process{}, "", false
	}
	if n, _ := fmt.Sscan(string(text), &p.pid, &p.start, &stage); n < 2 || p.pid <= 0 {
		return process{}, "", false
	}
	now, ok := processOf(p.pid)
	return p, stage, ok && now == p
}

// wait returns once a process is gone, nil, or with the error of ctx. It does
// not poll.
func (p process) wait(ctx context.Context) error {
	fd, err := unix.PidfdOpen(p.pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", p.pid, err)
	}
	f := os.NewFile(uintptr(fd), "process") // non-blocking: the runtime polls it
	defer f.Close()
	if now, ok := processOf(p.pid); !ok || now != p {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", p.pid, err)
	}
	err = conn.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", p.pid, err)
	}
	return nil
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
	if now, ok := processOf(p.pid); !ok || now != p { // from here on fd means this program
		return nil
	}
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal process %d: %w", p.pid, err)
		}
		if gone, err := awaitExit(ctx, fd, grace); gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("process %d does not end", p.pid)
}

// awaitExit reports whether the process behind a pidfd ends within limit.
func awaitExit(ctx context.Context, fd int, limit time.Duration) (bool, error) {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		const slice = 50 // ms between looks at ctx; an exit is seen at once
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, slice)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false, fmt.Errorf("await exit: %w", err)
		}
		if n > 0 {
			return true, nil
		}
	}
	return false, nil
}
