package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Wait returns once a process is gone, nil, or with the error of ctx. It does
// not poll.
func (p Process) Wait(ctx context.Context) error {
	h, err := p.open()
	if h == nil || err != nil {
		return err
	}
	defer h.file.Close()
	if err := h.await(ctx); err != nil {
		return fmt.Errorf("wait for process %d: %w", p.PID, err)
	}
	return nil
}

// End asks a process to end, insists when it is still there after grace, and
// returns once it is gone. That it is there grace after that, too, is an error.
func (p Process) End(ctx context.Context, grace time.Duration) error {
	return p.signal(ctx, grace, unix.SIGTERM, unix.SIGKILL)
}

// Kill ends a process without asking, and returns once it is gone. That it is
// still there after limit is an error.
func (p Process) Kill(ctx context.Context, limit time.Duration) error {
	return p.signal(ctx, limit, unix.SIGKILL)
}

// signal sends one signal after the other until the process is gone, and gives
// it so much time after each.
func (p Process) signal(ctx context.Context, each time.Duration, signals ...unix.Signal) error {
	h, err := p.open()
	if h == nil || err != nil {
		return err
	}
	defer h.file.Close()
	for _, s := range signals {
		if err := h.send(s); err != nil {
			return fmt.Errorf("signal process %d: %w", p.PID, err)
		}
		limited, cancel := context.WithTimeout(ctx, each)
		err := h.await(limited)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("wait for process %d: %w", p.PID, err)
		}
	}
	return fmt.Errorf("process %d does not end", p.PID)
}

// handle means one program, whoever gets its pid next.
type handle struct {
	file *os.File // a pidfd
	conn syscall.RawConn
}

// open returns a process's handle, nil when it is gone.
func (p Process) open() (*handle, error) {
	fd, err := unix.PidfdOpen(p.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", p.PID, err)
	}
	file := os.NewFile(uintptr(fd), "process") // non-blocking: the runtime polls it
	if !p.Alive() {                            // asked after opening: another may have had the pid by then
		file.Close()
		return nil, nil
	}
	conn, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("open process %d: %w", p.PID, err)
	}
	return &handle{file: file, conn: conn}, nil
}

// send sends a signal; one that ended meanwhile needs none.
func (h *handle) send(s unix.Signal) error {
	var sent error
	if err := h.conn.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), s, nil, 0) }); err != nil {
		return err
	}
	if errors.Is(sent, unix.ESRCH) {
		return nil
	}
	return sent
}

// await returns nil once the process is gone, or the error of ctx.
func (h *handle) await(ctx context.Context) error {
	if err := h.file.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = h.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var gone bool
	var failed error
	err := h.conn.Read(func(fd uintptr) (done bool) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		gone = n > 0
		if err != nil && !errors.Is(err, unix.EINTR) {
			failed = err
		}
		return gone || failed != nil
	})
	if gone {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(failed, err)
}
