package logger

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// recover finishes what a logger that was killed had begun: the log of the
// one container whose output was on its way is cut back to where it was
// before, and gets what is in the spool.
func (l *logger) recover() error {
	n, data, ok, err := l.spool.pending()
	if err != nil {
		return err
	}
	if ok {
		if err := l.replay(n, data); err != nil {
			return fmt.Errorf("finish log of %s: %w", n.id(), err)
		}
	}
	if err := l.spool.end(); err != nil {
		return err
	}
	return l.spool.empty()
}

// id is the container whose bytes the note speaks of.
func (n note) id() string { return strings.TrimRight(string(n.ID[:]), "\x00") }

// replay writes what the spool holds of a container's output to its log. A
// container that was removed meanwhile has no use for it.
func (l *logger) replay(n note, data []byte) error {
	c := &container{id: n.id(), dir: l.root.Streams(n.id()), log: l.root.ContainerLog(n.id())}
	if info, err := os.Stat(c.log); err == nil && info.Size() > n.LogSize {
		if err := os.Truncate(c.log, n.LogSize); err != nil {
			return err
		}
	}
	if len(data) == 0 {
		return nil
	}
	if _, err := os.Stat(l.root.Container(c.id)); errors.Is(err, unix.ENOENT) {
		return nil
	}
	var err error
	if c.config, err = readConfig(c.dir); err != nil {
		l.log.Debug("read log configuration", "container", c.id, "error", err)
	}
	p := &pipe{owner: c, stderr: n.Stderr, fd: -1}
	c.pipes = []*pipe{p}
	l.write(c, p, data)
	l.rest(c)
	return nil
}
