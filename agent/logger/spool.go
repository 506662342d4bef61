package logger

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/layout"
)

// spool makes the way of a container's output from its pipe to its log safe
// against SIGKILL: nothing is lost, and nothing is written twice.
//
// The kernel moves bytes from the pipe to the end of a file (splice), so that
// there is no moment at which only this process has them. Before that, begin
// notes in shared memory whose bytes they will be, where in the file they will
// be and how long the log is; advance notes what has reached the log; end
// that all has. A logger that finds such a note cuts the log back to the noted
// length and writes the rest of the file to it: pending tells it so.
type spool struct {
	file   *os.File
	size   int64 // of file
	shared []byte
	notes  *notes
}

// maxSpool is the size, in bytes, from which on the spool is emptied when it may be.
const maxSpool = 1 << 20

// notes is the shared memory: two notes, one of which is valid, so that it
// changes from one to the other in a single store.
type notes struct {
	boot  [36]byte // boot of the machine in which this was written
	valid uint32   // index of the valid note plus 1; 0: none
	note  [2]note
}

// note says whose bytes lie in the spool from offset on.
type note struct {
	Offset  int64 // of the first byte that has not reached the log
	LogSize int64 // of the log without it
	ID      [64]byte
	Stderr  bool
}

// openSpool opens the spool of root and makes it if need be.
func openSpool(root layout.Root) (_ *spool, retErr error) {
	file, err := os.OpenFile(root.LoggerSpool(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	defer func() {
		if retErr != nil {
			file.Close()
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	shared, err := mapFile(root.LoggerState(), int(unsafe.Sizeof(notes{})))
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s := &spool{file: file, size: info.Size(), shared: shared, notes: (*notes)(unsafe.Pointer(&shared[0]))}
	s.adopt(layout.BootID())
	return s, nil
}

// mapFile maps the first size bytes of a file, which it makes if need be, for
// sharing. The blocks are allocated at once: a full disk must not become a
// SIGBUS later.
func mapFile(path string, size int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(size)); err != nil {
		return nil, fmt.Errorf("allocate %s: %w", path, err)
	}
	return unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

// adopt forgets notes of another boot: after a power cut, what the disk has of
// spool, notes and logs need not be of the same moment.
func (s *spool) adopt(boot string) {
	var now [36]byte
	copy(now[:], boot)
	if s.notes.boot == now && s.notes.valid <= 2 {
		return
	}
	atomic.StoreUint32(&s.notes.valid, 0)
	s.notes.boot = now
}

// pending returns the note that a logger before this one left, and the bytes
// it speaks of.
func (s *spool) pending() (note, []byte, bool, error) {
	valid := atomic.LoadUint32(&s.notes.valid)
	if valid == 0 {
		return note{}, nil, false, nil
	}
	n := s.notes.note[valid-1]
	if !n.plausible(s.size) {
		return note{}, nil, false, nil
	}
	data := make([]byte, max(s.size-n.Offset, 0))
	if len(data) > 0 {
		if _, err := s.file.ReadAt(data, n.Offset); err != nil {
			return note{}, nil, false, fmt.Errorf("read spool: %w", err)
		}
	}
	return n, data, true, nil
}

// plausible reports whether a note can be one of ours: what the disk has may
// be garbled, and it says which file to cut.
func (n note) plausible(spoolSize int64) bool {
	id := n.id()
	return n.Offset >= 0 && n.Offset <= spoolSize && n.LogSize >= 0 &&
		id != "" && !strings.HasPrefix(id, ".") && !strings.ContainsAny(id, "/\x00")
}

// begin notes that what comes next into the spool belongs to a stream.
func (s *spool) begin(id string, stderr bool, logSize int64) {
	n := &s.notes.note[0]
	n.Offset, n.LogSize, n.Stderr = s.size, logSize, stderr
	copy(n.ID[:], id)
	atomic.StoreUint32(&s.notes.valid, 1)
}

// advance notes that count more bytes have reached the log, and its new size.
func (s *spool) advance(count int, logSize int64) {
	valid := atomic.LoadUint32(&s.notes.valid)
	if valid == 0 {
		return // not by way of the spool
	}
	old, next := &s.notes.note[valid-1], &s.notes.note[2-valid]
	*next = *old
	next.Offset += int64(count)
	next.LogSize = logSize
	atomic.StoreUint32(&s.notes.valid, 3-valid)
}

// end notes that all of the spool is written.
func (s *spool) end() error {
	atomic.StoreUint32(&s.notes.valid, 0)
	if s.size < maxSpool {
		return nil
	}
	return s.empty()
}

// empty takes the spool's space back.
func (s *spool) empty() error {
	if err := s.file.Truncate(0); err != nil {
		return fmt.Errorf("empty spool: %w", err)
	}
	s.size = 0
	return nil
}

// fill moves what is in the pipe fd, at most len(buf) bytes, to the end of the
// spool and returns it in buf. No bytes and no error is the end of the pipe.
// EAGAIN is an empty pipe.
func (s *spool) fill(fd int, buf []byte) (int, error) {
	at := s.size
	n, err := splice(fd, int(s.file.Fd()), &at, len(buf))
	if n > 0 {
		s.size += n
		if _, err := s.file.ReadAt(buf[:n], s.size-n); err != nil {
			return 0, fmt.Errorf("read spool: %w", err)
		}
		return int(n), nil
	}
	return 0, err
}

// splice moves up to size bytes from a pipe into a file at *offset.
func splice(pipe, file int, offset *int64, size int) (int64, error) {
	for {
		n, err := unix.Splice(pipe, nil, file, offset, size, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// close lets go of the spool.
func (s *spool) close() {
	_ = unix.Munmap(s.shared)
	_ = s.file.Close()
}
