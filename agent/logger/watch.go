package logger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// configName is the file in a container's streams folder that says how its
// log is kept. It comes last and by rename: the pipes are there before it.
const configName = "config.json"

// watchRoot watches for containers that come and go. Of a folder itself the
// kernel tells only once no pipe in it is open any more.
func (l *logger) watchRoot() error {
	wd, err := unix.InotifyAddWatch(l.inotify, l.root.StreamsDir(), unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_DELETE|unix.IN_ONLYDIR)
	if err != nil {
		return fmt.Errorf("watch streams: %w", err)
	}
	l.rootWatch = wd
	return nil
}

// scan picks up every container that is there.
func (l *logger) scan() error {
	entries, err := os.ReadDir(l.root.StreamsDir())
	if err != nil {
		return fmt.Errorf("list streams: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			l.appeared(e.Name(), true)
		}
	}
	return nil
}

// appeared begins to watch a container's streams folder, and picks the
// container up if it is ready for that.
func (l *logger) appeared(id string, found bool) {
	wd, err := unix.InotifyAddWatch(l.inotify, l.root.Streams(id), unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE|unix.IN_ONLYDIR)
	if err != nil {
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
			l.log.Error("watch streams", "container", id, "error", err)
		}
		return
	}
	c := l.containers[id]
	if c != nil && c.watch != wd { // its folder was made anew
		l.forget(c)
		c = nil
	}
	if c == nil {
		c = &container{id: id, dir: l.root.Streams(id), log: l.root.ContainerLog(id), watch: wd}
		l.containers[id], l.watched[wd] = c, c
	}
	if _, err := os.Stat(filepath.Join(c.dir, configName)); err == nil {
		l.pickUp(c, found)
	}
}

// removed lets go of a container whose streams folder was removed, unless it is
// there again and known already.
func (l *logger) removed(id string) {
	c := l.containers[id]
	if c == nil {
		return
	}
	wd, err := unix.InotifyAddWatch(l.inotify, c.dir, unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE|unix.IN_ONLYDIR)
	if err == nil && wd == c.watch {
		return
	}
	l.vanished(c)
	if err == nil {
		l.appeared(id, false)
	}
}

// changes handles what inotify tells.
func (l *logger) changes() error {
	for {
		n, err := unix.Read(l.inotify, l.news)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read inotify: %w", err)
		}
		if err := l.change(l.news[:n]); err != nil {
			return err
		}
	}
}

// change handles the events of one read.
func (l *logger) change(buf []byte) error {
	for len(buf) >= unix.SizeofInotifyEvent {
		e := (*unix.InotifyEvent)(unsafe.Pointer(&buf[0]))
		end := unix.SizeofInotifyEvent + int(e.Len)
		name := strings.TrimRight(string(buf[unix.SizeofInotifyEvent:end]), "\x00")
		buf = buf[end:]
		switch {
		case e.Mask&unix.IN_Q_OVERFLOW != 0:
			if err := l.scan(); err != nil {
				return err
			}
		case int(e.Wd) == l.rootWatch:
			if err := l.rootChanged(e.Mask, name); err != nil {
				return err
			}
		case e.Mask&unix.IN_IGNORED != 0:
			if c := l.watched[int(e.Wd)]; c != nil {
				l.vanished(c)
			}
		case name == configName:
			if c := l.watched[int(e.Wd)]; c != nil {
				l.pickUp(c, false)
			}
		}
	}
	return nil
}

// rootChanged handles an event of the streams folder itself.
func (l *logger) rootChanged(mask uint32, name string) error {
	if mask&unix.IN_IGNORED == 0 {
		switch {
		case mask&unix.IN_ISDIR == 0:
		case mask&unix.IN_DELETE != 0:
			l.removed(name)
		default:
			l.appeared(name, false)
		}
		return nil
	}
	if err := os.MkdirAll(l.root.StreamsDir(), 0o700); err != nil {
		return fmt.Errorf("make streams folder: %w", err)
	}
	if err := l.watchRoot(); err != nil {
		return err
	}
	return l.scan()
}
