package logger

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/logfile"
	"github.com/compose-first/compose/project"
)

// container is a container whose output is taken.
type container struct {
	id     string
	dir    string // streams folder
	log    string // path of its log
	watch  int    // inotify watch descriptor of dir
	config config
	writer *logfile.Writer // nil while there is nothing to write
	pipes  []*pipe
	lost   int64 // bytes that could not be written since the last that could
	// drained is set once all that the container wrote is in its log.
	drained bool
}

// config is config.json.
type config struct {
	project.Log
	TTY bool `json:"tty"`
}

// pipe is one stream of a container.
type pipe struct {
	owner   *container
	stderr  bool
	fd      int    // -1 once closed
	inode   uint64 // of the pipe's file
	queued  bool   // in logger.ready
	hungUp  bool   // the writers that there were are gone
	begun   bool   // somebody has it open for writing, or had
	live    bool   // somebody had it open for writing since this logger opened it: its end will be told
	idle    bool   // nobody had it open when this logger came
	ended   bool   // whoever wrote to it has closed it
	midLine bool   // the last entry was partial
}

// Bounds of the log of a container with the driver "none". Its output is not
// to be kept, but those who are attached read it from its log.
const (
	noneMaxSize = 256 << 10
	noneMaxFile = 2
)

// pickUp opens the pipes of a container that is started. It may be called
// again for the same start. found says that the container was there when the
// logger came: then pipes that nobody writes to are those of one that ended,
// since who starts a container has them open from before config.json is there.
func (l *logger) pickUp(c *container, found bool) {
	if err := l.configure(c); err != nil {
		l.log.Error("read log configuration", "container", c.id, "error", err)
	}
	opened := false
	for _, stderr := range []bool{false, true} {
		isNew, err := l.openPipe(c, stderr, found)
		if err != nil {
			l.log.Error("open stream", "container", c.id, "stderr", stderr, "error", err)
		}
		opened = opened || isNew
	}
	if opened && !found {
		l.setDrained(c, false)
	}
}

// configure reads config.json. Without a readable one the log has no bounds.
func (l *logger) configure(c *container) error {
	cfg, err := readConfig(c.dir)
	if cfg != c.config && c.writer != nil {
		c.writer.Close()
		c.writer = nil
	}
	c.config = cfg
	return err
}

func readConfig(dir string) (config, error) {
	var cfg config
	b, err := os.ReadFile(filepath.Join(dir, configName))
	if err != nil {
		return config{}, err
	}
	if err := json.Unmarshal(b, &cfg); err != nil {
		return config{}, fmt.Errorf("%s: %w", configName, err)
	}
	if cfg.Driver == "none" {
		cfg.MaxSize, cfg.MaxFile = noneMaxSize, noneMaxFile
	}
	return cfg, nil
}

// openPipe opens one of the pipes, unless it is open or not there, and takes
// what is left in one of an earlier start.
func (l *logger) openPipe(c *container, stderr, found bool) (isNew bool, err error) {
	fd, err := unix.Open(filepath.Join(c.dir, streamName(stderr)), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		unix.Close(fd)
		return false, err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFIFO {
		unix.Close(fd)
		return false, errors.New("not a pipe")
	}
	for _, p := range c.pipes {
		if p.stderr != stderr {
			continue
		}
		if p.fd >= 0 && p.inode == stat.Ino {
			unix.Close(fd)
			return false, nil
		}
		l.finish(p)
		break
	}
	p := &pipe{owner: c, stderr: stderr, fd: fd, inode: stat.Ino, idle: found}
	c.pipes = append(c.pipes, p)
	l.pipes[fd] = p
	if err := l.poll(fd, unix.EPOLLIN|unix.EPOLLET); err != nil {
		l.shut(p)
		return false, err
	}
	l.queue(p) // what was written before; the pipe's edge is past
	return true, nil
}

func streamName(stderr bool) string {
	if stderr {
		return logfile.Stderr
	}
	return logfile.Stdout
}

// take moves one chunk from a pipe to its log, and reports how much that was
// and whether there may be more.
func (l *logger) take(p *pipe) (n int, more bool, err error) {
	c := p.owner
	n, spooled, err := l.receive(p)
	switch {
	case errors.Is(err, unix.EAGAIN):
		p.begun, p.live, p.idle, p.hungUp, p.ended = true, true, false, false, false
		return 0, false, nil
	case err != nil:
		return 0, false, err
	case n == 0:
		l.atEnd(p)
		return 0, false, nil
	}
	p.begun, p.idle, p.ended = true, false, false
	if c.drained {
		l.setDrained(c, false)
	}
	l.write(c, p, l.raw[:n])
	if spooled {
		if err := l.spool.end(); err != nil {
			return 0, false, err
		}
	}
	return n, n == chunk || p.hungUp || !p.live, nil
}

// receive gets the next bytes of a pipe into l.raw: by way of the spool, or
// without it where the disk is full.
func (l *logger) receive(p *pipe) (n int, spooled bool, err error) {
	c := p.owner
	if l.prepare(c) {
		l.spool.begin(c.id, p.stderr, c.writer.Size())
		n, err = l.spool.fill(p.fd, l.raw)
		if n > 0 {
			return n, true, nil
		}
		if endErr := l.spool.end(); endErr != nil {
			return 0, false, endErr
		}
		if err == nil || errors.Is(err, unix.EAGAIN) {
			return 0, false, err
		}
		l.log.Debug("spool", "error", err)
	}
	for {
		n, err = unix.Read(p.fd, l.raw)
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), false, err
		}
	}
}

// prepare opens the container's log, and reports whether it is open.
func (l *logger) prepare(c *container) bool {
	if c.writer != nil {
		return true
	}
	w, err := logfile.OpenWriter(c.log, c.config.MaxSize, c.config.MaxFile)
	if err != nil {
		l.log.Debug("open log", "container", c.id, "error", err)
		return false
	}
	c.writer = w
	return true
}

// write writes what a container wrote to its log. What cannot be written is
// lost: a container must never wait for a disk to be freed. The log says so
// once it can.
func (l *logger) write(c *container, p *pipe, raw []byte) {
	if !l.prepare(c) {
		c.lost += int64(len(raw))
		return
	}
	now := time.Now()
	if c.lost > 0 && !l.confess(c, now) {
		c.lost += int64(len(raw))
		return
	}
	b := batch{logger: l, container: c}
	l.lines = l.lines[:0]
	var err error
	for len(raw) > 0 && err == nil {
		e, rest := nextEntry(raw)
		e.Time, e.Stream = now, streamName(p.stderr)
		if err = b.add(e, len(raw)-len(rest)); err == nil {
			p.midLine = e.Partial
			raw = rest
		}
	}
	if err == nil {
		err = b.flush()
	}
	if err != nil {
		c.lost += int64(len(raw)) + int64(b.unwritten)
		l.log.Warn("output lost", "container", c.id, "error", err)
	}
}

// confess writes that output was lost, after the end of lines that had begun,
// and reports whether it could.
func (l *logger) confess(c *container, now time.Time) bool {
	var lines []byte
	for _, p := range c.pipes {
		if p.midLine {
			lines = logfile.Append(lines, logfile.Entry{Time: now, Stream: streamName(p.stderr)})
		}
	}
	lines = logfile.Append(lines, logfile.Marker(now, fmt.Sprintf("%d bytes of output were lost here: the log could not be written", c.lost)))
	if err := c.writer.Write(lines); err != nil {
		return false
	}
	l.spool.advance(0, c.writer.Size())
	for _, p := range c.pipes {
		p.midLine = false
	}
	c.lost = 0
	return true
}

// atEnd handles a pipe that nobody has open for writing: its container has
// ended, or has not begun.
//
// It stays open: a command that was killed as it started the container had it
// open, too, and the shim may be about to open it. Without a reader the shim
// would wait for ever, and all containers of its group with it.
func (l *logger) atEnd(p *pipe) {
	switch {
	case p.begun || p.hungUp:
		p.ended = true
	case !p.idle:
		return
	}
	for _, q := range p.owner.pipes {
		if q.fd >= 0 && !q.idle && !q.ended {
			return
		}
	}
	l.setDrained(p.owner, true)
	l.rest(p.owner)
}

// finish takes all that is left in a pipe, and closes it. Where nothing is, the
// log stays as it is: its folder may be on its way out.
func (l *logger) finish(p *pipe) {
	for p.fd >= 0 && pending(p.fd) {
		n, _, err := l.take(p)
		if err != nil || n == 0 {
			break
		}
	}
	l.shut(p)
	for i, q := range p.owner.pipes {
		if q == p {
			p.owner.pipes = append(p.owner.pipes[:i:i], p.owner.pipes[i+1:]...)
			break
		}
	}
}

// pending reports whether there is something in a pipe, as far as can be told.
func pending(fd int) bool {
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	return err != nil || n > 0
}

// shut closes a pipe. Its container keeps it, to know it again.
func (l *logger) shut(p *pipe) {
	if p.fd < 0 {
		return
	}
	delete(l.pipes, p.fd)
	unix.Close(p.fd)
	p.fd = -1
}

// setDrained says whether all of a container's output is in its log.
func (l *logger) setDrained(c *container, drained bool) {
	c.drained = drained
	path := filepath.Join(c.dir, logfile.DrainedFile)
	var err error
	if drained {
		err = os.WriteFile(path, nil, 0o600)
	} else {
		err = os.Remove(path)
	}
	if err != nil && !os.IsNotExist(err) {
		l.log.Error("mark streams", "container", c.id, "error", err)
	}
}

// rest closes the log of a container that writes no more.
func (l *logger) rest(c *container) {
	if c.writer != nil {
		c.writer.Close()
		c.writer = nil
	}
}

// vanished lets go of a container whose streams folder is gone, after taking
// what its pipes still hold.
func (l *logger) vanished(c *container) {
	for _, p := range append([]*pipe(nil), c.pipes...) {
		l.finish(p)
	}
	l.forget(c)
}

// forget lets go of a container; what its pipes hold stays in them.
func (l *logger) forget(c *container) {
	for _, p := range c.pipes {
		l.shut(p)
	}
	l.rest(c)
	delete(l.watched, c.watch)
	if l.containers[c.id] == c {
		delete(l.containers, c.id)
	}
}
