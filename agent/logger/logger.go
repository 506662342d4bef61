// Package logger is the process that takes the output of every container of an
// engine and writes it to the containers' logs.
//
// It is one loop over one epoll instance: the pipes that the shims write to,
// and an inotify instance for the folders that hold them. It keeps nothing in
// memory: what is taken from a pipe is in the log, or in the spool
// (spool.go), before the next thing is done. So it may be killed at any
// moment, and the one after it goes on where it was. While none runs the
// pipes fill, and then containers that write wait.
//
// Standard input is no business of the logger: the shim holds its pipe open
// until whoever is attached has it closed.
//
// Start with Run, then container.go.
package logger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/layout"
)

// Config is what a logger needs to know.
type Config struct {
	Root layout.Root
	Log  *slog.Logger
	// Ready is called once every container that is there is picked up. May be nil.
	Ready func()
}

// chunk is how much is taken from a pipe at once, in bytes: what a pipe holds.
// Source: pipe(7), a pipe's default capacity.
const chunk = 64 << 10

// pace is how long the loop lets output gather when it just had some, unless
// pipes are filling up: many small writes become few large ones.
const pace = 2 * time.Millisecond

// Run takes the output of containers until ctx ends.
func Run(ctx context.Context, cfg Config) (retErr error) {
	l, err := open(cfg)
	if err != nil {
		return err
	}
	defer l.close()
	stop := context.AfterFunc(ctx, l.wake)
	defer stop()
	if err := l.recover(); err != nil {
		return err
	}
	if err := l.scan(); err != nil {
		return err
	}
	if cfg.Ready != nil {
		cfg.Ready()
	}
	return l.loop(ctx)
}

// logger is the state of the loop. All of it belongs to the loop's goroutine,
// but for the eventfd.
type logger struct {
	root       layout.Root
	log        *slog.Logger
	epoll      int
	inotify    int
	wakeup     int // eventfd
	spool      *spool
	rootWatch  int                   // watch descriptor of the streams folder
	containers map[string]*container // by id
	watched    map[int]*container    // by watch descriptor
	pipes      map[int]*pipe         // by file descriptor
	ready      []*pipe               // may have more to take
	news       []byte                // what inotify tells
	raw        []byte                // what is taken from a pipe
	lines      []byte                // what goes to a log
}

func open(cfg Config) (_ *logger, retErr error) {
	l := &logger{
		root: cfg.Root, log: cfg.Log, epoll: -1, inotify: -1, wakeup: -1,
		containers: map[string]*container{},
		watched:    map[int]*container{},
		pipes:      map[int]*pipe{},
		news:       make([]byte, 8<<10),
		raw:        make([]byte, chunk),
	}
	if l.log == nil {
		l.log = slog.Default()
	}
	defer func() {
		if retErr != nil {
			l.close()
		}
	}()
	if err := os.MkdirAll(cfg.Root.StreamsDir(), 0o700); err != nil {
		return nil, fmt.Errorf("make streams folder: %w", err)
	}
	var err error
	if l.spool, err = openSpool(cfg.Root); err != nil {
		return nil, err
	}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make epoll: %w", err)
	}
	if l.inotify, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make inotify: %w", err)
	}
	if l.wakeup, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make eventfd: %w", err)
	}
	for _, fd := range []int{l.inotify, l.wakeup} {
		if err := l.poll(fd, unix.EPOLLIN); err != nil {
			return nil, err
		}
	}
	return l, l.watchRoot()
}

// poll adds fd to what the loop waits for.
func (l *logger) poll(fd int, events uint32) error {
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("add to epoll: %w", err)
	}
	return nil
}

// wake makes the loop look at its context. It is for any goroutine.
func (l *logger) wake() { _, _ = unix.Write(l.wakeup, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// loop waits for output and takes it until ctx ends.
func (l *logger) loop(ctx context.Context) error {
	events := make([]unix.EpollEvent, 64)
	last := time.Now()
	for ctx.Err() == nil {
		timeout := -1
		if len(l.ready) > 0 {
			timeout = 0
		}
		n, err := unix.EpollWait(l.epoll, events, timeout)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for output: %w", err)
		}
		if err := l.handle(ctx, events[:n]); err != nil {
			return err
		}
		full, err := l.takeAll()
		if err != nil {
			return err
		}
		now := time.Now()
		if !full && now.Sub(last) < pace {
			time.Sleep(pace)
		}
		last = now
	}
	return nil
}

// handle sorts out what epoll told.
func (l *logger) handle(ctx context.Context, events []unix.EpollEvent) error {
	for _, e := range events {
		fd := int(e.Fd)
		switch fd {
		case l.wakeup:
			if ctx.Err() != nil {
				return nil
			}
		case l.inotify:
			if err := l.changes(); err != nil {
				return err
			}
		default:
			if p := l.pipes[fd]; p != nil {
				p.hungUp = p.hungUp || e.Events&unix.EPOLLHUP != 0
				l.queue(p)
			}
		}
	}
	return nil
}

// queue marks a pipe as one that may have something. Pipes are polled for
// edges, so it is told once only.
func (l *logger) queue(p *pipe) {
	if !p.queued {
		p.queued = true
		l.ready = append(l.ready, p)
	}
}

// takeAll takes one chunk from each pipe that may have something, so that none
// waits for another, and reports whether one of them was filling up.
func (l *logger) takeAll() (full bool, err error) {
	now := l.ready
	l.ready = nil
	for _, p := range now {
		p.queued = false
		if p.fd < 0 {
			continue
		}
		n, more, err := l.take(p)
		if err != nil {
			return false, err
		}
		full = full || n >= chunk/2
		if more {
			l.queue(p)
		}
	}
	if l.ready == nil {
		l.ready = now[:0]
	}
	return full, nil
}

// close lets go of everything. What containers wrote stays in their pipes.
func (l *logger) close() {
	for _, c := range l.containers {
		l.forget(c)
	}
	for _, fd := range []int{l.epoll, l.inotify, l.wakeup} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if l.spool != nil {
		l.spool.close()
	}
}
