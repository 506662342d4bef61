package logfile

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// blockSize is how much of a file is read at once.
const blockSize = 64 << 10

// maxLine bounds what is held of one line: no entry is longer than MaxText
// with its head, so that anything longer is garbage and passed over.
const maxLine = 2 * MaxText

// lineReader gives the lines of one file, which may still grow.
type lineReader struct {
	file     *os.File
	buf      []byte
	from, to int   // what is read and not yet given: buf[from:to]
	at       int64 // offset in file of buf[from]
	skipping bool  // in the midst of a line longer than maxLine
}

func newLineReader(f *os.File) *lineReader { return &lineReader{file: f} }

func (l *lineReader) close() { _ = l.file.Close() }

// next returns the next whole line, newline included, and its offset. ok is
// false at the end of the file, where an unfinished line is left for later.
// The line is valid until the next call.
func (l *lineReader) next() (line []byte, at int64, ok bool, err error) {
	for {
		if i := bytes.IndexByte(l.buf[l.from:l.to], '\n'); i >= 0 {
			line, at = l.buf[l.from:l.from+i+1], l.at
			l.from += i + 1
			l.at += int64(i + 1)
			if l.skipping {
				l.skipping = false
				continue
			}
			return line, at, true, nil
		}
		if l.to-l.from > maxLine {
			l.skipping = true
			l.at += int64(l.to - l.from)
			l.from, l.to = 0, 0
		}
		n, err := l.fill()
		if err != nil {
			return nil, 0, false, err
		}
		if n == 0 {
			// What is unfinished is read anew next time: after a crash of the
			// writer it may have been written again.
			l.from, l.to = 0, 0
			return nil, 0, false, l.restart()
		}
	}
}

// fill reads on behind what is at hand.
func (l *lineReader) fill() (int, error) {
	if l.buf == nil {
		l.buf = make([]byte, blockSize)
	}
	copy(l.buf, l.buf[l.from:l.to])
	l.from, l.to = 0, l.to-l.from
	n, err := l.file.ReadAt(l.buf[l.to:], l.at+int64(l.to))
	l.to += n
	if err != nil && !errors.Is(err, io.EOF) {
		return n, err
	}
	return n, nil
}

// restart goes back to the beginning of a file that somebody emptied.
func (l *lineReader) restart() error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		l.at, l.skipping = 0, false
	}
	return nil
}

// seek makes the line at offset the next one.
func (l *lineReader) seek(offset int64) {
	l.from, l.to, l.at, l.skipping = 0, 0, offset, false
}

// backwards gives the whole lines of f from its end to its beginning, each
// with its offset, until visit returns false. Lines longer than maxLine are
// passed over.
func backwards(f io.ReaderAt, size int64, visit func(line []byte, at int64) bool) error {
	var (
		rest  []byte // the end of a line whose beginning is before pos
		long  bool   // rest was given up, being longer than maxLine
		whole bool   // a newline ends rest
		block = make([]byte, blockSize)
	)
	for pos := size; pos > 0; {
		n := min(pos, int64(len(block)))
		pos -= n
		b := block[:n]
		if _, err := f.ReadAt(b, pos); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for {
			i := bytes.LastIndexByte(b, '\n')
			if i < 0 {
				break
			}
			line := append(append([]byte{}, b[i+1:]...), rest...)
			if whole && !long && !visit(line, pos+int64(i)+1) {
				return nil
			}
			b, rest, long, whole = b[:i], []byte{'\n'}, false, true
		}
		if len(b)+len(rest) > maxLine {
			rest, long = nil, true
			continue
		}
		rest = append(append([]byte{}, b...), rest...)
	}
	if whole && !long {
		visit(rest, 0)
	}
	return nil
}
