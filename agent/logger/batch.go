package logger

import (
	"bytes"

	"github.com/compose-first/compose/internal/logfile"
)

// nextEntry cuts the first entry off raw, which is not empty: a line, or as
// much of it as there is and an entry may have. Its text shares raw's memory.
func nextEntry(raw []byte) (e logfile.Entry, rest []byte) {
	head := raw[:min(len(raw), logfile.MaxText+1)]
	if i := bytes.IndexByte(head, '\n'); i >= 0 {
		return logfile.Entry{Text: raw[:i]}, raw[i+1:]
	}
	n := min(len(raw), logfile.MaxText)
	return logfile.Entry{Partial: true, Text: raw[:n]}, raw[n:]
}

// batch gathers entries and writes them to a container's log, in as few
// writes as its rotation allows.
type batch struct {
	logger    *logger
	container *container
	unwritten int // bytes of the container's that are gathered and not written
}

// add takes an entry that covers count bytes of what the container wrote.
func (b *batch) add(e logfile.Entry, count int) error {
	l := b.logger
	before := len(l.lines)
	l.lines = logfile.Append(l.lines, e)
	if room := b.container.writer.Room(); int64(len(l.lines)) > room && (before > 0 || b.container.writer.Size() > 0) {
		last := append([]byte(nil), l.lines[before:]...)
		l.lines = l.lines[:before]
		if err := b.flush(); err != nil {
			return err
		}
		if err := b.rotate(); err != nil {
			return err
		}
		l.lines = append(l.lines, last...)
	}
	b.unwritten += count
	return nil
}

// flush writes what is gathered.
func (b *batch) flush() error {
	l := b.logger
	if len(l.lines) == 0 {
		return nil
	}
	err := b.container.writer.Write(l.lines)
	l.lines = l.lines[:0]
	if err != nil {
		return err
	}
	l.spool.advance(b.unwritten, b.container.writer.Size())
	b.unwritten = 0
	return nil
}

// rotate goes over to a new file, and notes that before anything is in it.
func (b *batch) rotate() error {
	w := b.container.writer
	if err := w.Rotate(); err != nil {
		return err
	}
	b.logger.spool.advance(0, w.Size())
	return nil
}
