package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Writer appends to a log and rotates it. It is for one goroutine.
type Writer struct {
	path     string
	maxSize  int64
	maxFiles int
	file     *os.File
	size     int64
}

// OpenWriter opens the log at path for appending, and makes it (0600) if need
// be; but not its folder, which comes and goes with the container. A last line
// that was cut short is ended. maxSize bounds
// a file in bytes, 0 is no bound; maxFiles is how many are kept, the current
// one included, 0 is 1.
func OpenWriter(path string, maxSize int64, maxFiles int) (*Writer, error) {
	w := &Writer{path: path, maxSize: maxSize, maxFiles: max(maxFiles, 1)}
	if err := w.open(); err != nil {
		return nil, err
	}
	if err := w.repair(); err != nil {
		w.file.Close()
		return nil, err
	}
	return w, nil
}

// Size is that of the current file, in bytes.
func (w *Writer) Size() int64 { return w.size }

// Room is how many bytes the current file may still get before it is to be
// rotated. An empty file has room for one entry, however small the bound.
func (w *Writer) Room() int64 {
	switch {
	case w.maxSize <= 0:
		return 1 << 62
	case w.size == 0:
		return max(w.maxSize, 1)
	}
	return max(w.maxSize-w.size, 0)
}

// Write appends whole lines. On an error nothing of them stays.
func (w *Writer) Write(lines []byte) error {
	n, err := w.file.Write(lines)
	w.size += int64(n)
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("write log: %w", err), w.Cut(w.size-int64(n)))
}

// Cut takes back all that was written behind size.
func (w *Writer) Cut(size int64) error {
	info, err := w.file.Stat()
	if err != nil {
		return fmt.Errorf("cut log: %w", err)
	}
	w.size = info.Size()
	if size >= w.size {
		return nil
	}
	if err := w.file.Truncate(size); err != nil {
		return fmt.Errorf("cut log: %w", err)
	}
	w.size = size
	return nil
}

// Rotate begins a new file. Those beyond the number to keep are removed; when
// only one is kept, its content goes. On an error the current file goes on.
func (w *Writer) Rotate() error {
	next := w.path + ".next"
	fresh, err := os.OpenFile(next, openFlags|os.O_TRUNC, 0o600)
	if err != nil { // a full disk shows here, before anything is changed
		return fmt.Errorf("rotate log: %w", err)
	}
	for n := w.maxFiles - 1; n >= 0; n-- {
		if err := os.Rename(numbered(w.path, n), numbered(w.path, n+1)); err != nil && !os.IsNotExist(err) {
			return errors.Join(fmt.Errorf("rotate log: %w", err), fresh.Close(), os.Remove(next))
		}
	}
	if err := os.Rename(next, w.path); err != nil {
		return errors.Join(fmt.Errorf("rotate log: %w", err), fresh.Close())
	}
	w.file.Close()
	w.file, w.size = fresh, 0
	// The one too many stayed until now for those who follow the log.
	if err := os.Remove(numbered(w.path, w.maxFiles)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("rotate log: %w", err)
	}
	return nil
}

// openFlags are those of the current file. Appending, it stays whole when
// somebody else empties it.
const openFlags = os.O_RDWR | os.O_CREATE | os.O_APPEND

// Close closes the log.
func (w *Writer) Close() error { return w.file.Close() }

// open opens the file at path.
func (w *Writer) open() error {
	f, err := os.OpenFile(w.path, openFlags, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("open log: %w", err)
	}
	w.file, w.size = f, info.Size()
	return nil
}

// repair ends a last line that a crash cut short. What of it is of the format
// stays, marked as partial: the container wrote at least that.
func (w *Writer) repair() error {
	n := min(w.size, maxLine)
	buf := make([]byte, n)
	if _, err := w.file.ReadAt(buf, w.size-n); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read log: %w", err)
	}
	if n == 0 || buf[n-1] == '\n' {
		return nil
	}
	i := int64(bytes.LastIndexByte(buf, '\n'))
	if i < 0 && n < w.size {
		return w.Write([]byte{'\n'}) // no line of ours is that long
	}
	e, err := Parse(buf[i+1:])
	if err != nil {
		return w.Cut(w.size - n + i + 1)
	}
	e.Partial = true
	mended := Append(nil, e)
	if err := w.Cut(w.size - n + i + 1); err != nil {
		return err
	}
	return w.Write(mended)
}

// Marker is an entry of the logger itself, on the stream of the container's
// errors, so that a gap in a log is seen where it is.
func Marker(now time.Time, text string) Entry {
	return Entry{Time: now, Stream: Stderr, Text: []byte("[compose] " + text)}
}
