package logfile

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// watch wakes a follower when something changes in the folder of its log.
// Where there is no folder yet or no inotify instance left (the kernel gives
// 128 to a user), only the clock does.
type watch struct {
	dir     string
	file    *os.File // inotify instance, nil while there is none
	changed chan struct{}
}

func newWatch(path string) *watch {
	w := &watch{dir: filepath.Dir(path), changed: make(chan struct{}, 1)}
	w.open()
	return w
}

// open begins to watch, if it can.
func (w *watch) open() {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return
	}
	if _, err := unix.InotifyAddWatch(fd, w.dir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ONLYDIR); err != nil {
		unix.Close(fd)
		return
	}
	w.file = os.NewFile(uintptr(fd), "inotify")
	go w.pump(w.file)
	w.signal() // what changed before the watch
}

// pump turns the kernel's events into wakings until the instance is closed.
func (w *watch) pump(f *os.File) {
	buf := make([]byte, 4096)
	for {
		if _, err := f.Read(buf); err != nil {
			return
		}
		w.signal()
	}
}

func (w *watch) signal() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// wait returns after a change, or the time tick at the latest. Its error is that of ctx.
func (w *watch) wait(ctx context.Context, tick time.Duration) error {
	if w.file == nil {
		w.open()
	}
	timer := time.NewTimer(tick)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.changed:
	case <-timer.C:
	}
	return nil
}

func (w *watch) close() {
	if w.file != nil {
		_ = w.file.Close()
	}
}
