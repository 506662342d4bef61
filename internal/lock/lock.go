// Package lock makes commands take turns: one writer a project, one start of
// a daemon. A lock ends with its process, however that ends.
package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A taken lock is tried again after firstRetry, and then after twice as long
// each time up to lastRetry.
const (
	firstRetry = time.Millisecond
	lastRetry  = 10 * time.Millisecond
)

// Lock is a lock held.
type Lock struct{ file *os.File }

// Holder is the process that has a lock, as far as it has said so.
type Holder struct {
	PID     string
	Command string
}

func (h Holder) String() string {
	if h.PID == "" {
		return "another process"
	}
	return fmt.Sprintf("process %s (%s)", h.PID, h.Command)
}

// Take takes the lock of the file at path, which it makes if need be, and
// writes pid and command into it for those who wait. When another process has
// the lock, waiting is called once with that process, and Take waits until it
// is free or ctx ends.
func Take(ctx context.Context, path, command string, waiting func(Holder)) (*Lock, error) {
	l, err := take(ctx, path, unix.LOCK_EX, waiting)
	if err != nil {
		return nil, err
	}
	if err := sign(l.file, command); err != nil {
		l.file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return l, nil
}

// Try is Take for whoever wants the lock now or not at all.
func Try(path, command string) (*Lock, error) {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	return Take(now, path, command, nil)
}

// Share takes a lock together with whoever shares it, too; nobody has it by
// Take meanwhile.
func Share(ctx context.Context, path string) (*Lock, error) {
	return take(ctx, path, unix.LOCK_SH, nil)
}

func take(ctx context.Context, path string, how int, waiting func(Holder)) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make lock folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := wait(ctx, f, how, waiting); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{file: f}, nil
}

// Release gives the lock back. The file stays: removing it would let two
// processes each hold the lock of a file of that name.
func (l *Lock) Release() {
	_ = l.file.Truncate(0)
	_ = l.file.Close()
}

func wait(ctx context.Context, f *os.File, how int, waiting func(Holder)) error {
	return Flock(ctx, int(f.Fd()), how, func() {
		if waiting != nil {
			waiting(holder(f))
		}
	})
}

// Flock applies flock(2) to an open file, and calls waiting, if it is not nil,
// once when it has to wait. It asks again and again: within the system call it
// would neither see that ctx ends nor let go of its thread, and a daemon that
// has waited in a hundred places keeps a hundred threads.
func Flock(ctx context.Context, fd, how int, waiting func()) error {
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		err := unix.Flock(fd, how|unix.LOCK_NB)
		if err == nil || !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

func sign(f *os.File, command string) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendf(nil, "%d %s\n", os.Getpid(), command), 0)
	return err
}

func holder(f *os.File) Holder {
	b := make([]byte, 4096)
	n, _ := f.ReadAt(b, 0)
	pid, command, _ := strings.Cut(strings.TrimSpace(string(b[:n])), " ")
	return Holder{PID: pid, Command: command}
}
