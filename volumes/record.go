package volumes

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// recordFile is the file in a volume's folder that describes it.
const recordFile = "volume.json"

// copyFile is a second recordFile, for when somebody garbles the first.
const copyFile = "volume.json.copy"

// record is what recordFile has: the volume, and how far its first use is.
type record struct {
	Volume
	Fill fillState `json:"fill,omitempty"`
}

// fillState says how far the copying of the image's content has come.
type fillState string

const (
	fillNone   fillState = ""       // not begun, or only half a copy in fillDir
	fillMoving fillState = "moving" // the copy in fillDir is whole and on its way to dataDir
	fillDone   fillState = "done"
)

// errGarbled means that a record is there but cannot be understood.
var errGarbled = errors.New("volume record cannot be read")

// read returns the record of a volume, or its copy when it is garbled.
// ErrNotFound, errGarbled.
func (s *Store) read(name string) (record, error) {
	if err := CheckName(name); err != nil {
		return record{}, err
	}
	r, err := readRecord(s.dir(name), recordFile, name)
	if !errors.Is(err, errGarbled) {
		return r, err
	}
	r, copyErr := readRecord(s.dir(name), copyFile, name)
	if copyErr != nil {
		return record{}, err
	}
	slog.Warn("a volume's record is taken from its copy; data are as they were", "volume", name, "error", err)
	return r, s.restore(name)
}

// restore puts the copy of a record in its place, unless somebody is about to
// write it anyway.
func (s *Store) restore(name string) error {
	l, err := tryLock(s.dir(name))
	if errors.Is(err, errLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Close()
	r, err := readRecord(s.dir(name), copyFile, name)
	if err != nil {
		return err
	}
	return writeRecord(s.dir(name), r)
}

// readRecord reads a file of a volume's folder that describes it.
func readRecord(dir, file, name string) (record, error) {
	path := filepath.Join(dir, file)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			return record{}, fmt.Errorf("%w: %q", ErrNotFound, name)
		}
		return record{}, fmt.Errorf("%w: %s is missing", errGarbled, path)
	}
	if err != nil {
		return record{}, fmt.Errorf("read volume record: %w", err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, fmt.Errorf("%w: %s: %w", errGarbled, path, err)
	}
	if r.Name != name {
		return record{}, fmt.Errorf("%w: %s: it names %q", errGarbled, path, r.Name)
	}
	return r, nil
}

// update changes the record of a volume, under its lock.
func (s *Store) update(ctx context.Context, name string, change func(*record) error) error {
	l, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer l.Close()
	r, err := s.read(name)
	if err != nil {
		return err
	}
	if err := change(&r); err != nil {
		return err
	}
	return writeRecord(s.dir(name), r)
}

func writeRecord(dir string, r record) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write volume record: %w", err)
	}
	for _, file := range []string{recordFile, copyFile} {
		if err := writeFile(filepath.Join(dir, file), append(b, '\n'), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a file whole: a reader, and the machine after a power
// loss, has the old one or the new one.
func writeFile(path string, content []byte, mode os.FileMode) (retErr error) {
	tmp := path + ".tmp-" + randomHex(4)
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if retErr != nil {
			f.Close()
			os.Remove(tmp)
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// lockRetry is how often a volume's lock is tried again: flock(2) cannot be
// given up on when a context ends.
const lockRetry = 5 * time.Millisecond

// errLocked means that another process has the lock.
var errLocked = errors.New("locked")

// lock takes the lock of a volume, which closing the file gives back.
// ErrNotFound when the volume is not there, or goes meanwhile.
func (s *Store) lock(ctx context.Context, name string) (*os.File, error) {
	for {
		f, err := tryLock(s.dir(name))
		if !errors.Is(err, errLocked) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockRetry):
		}
	}
}

// tryLock locks a folder. ErrNotFound, errLocked.
func tryLock(dir string) (_ *os.File, retErr error) {
	f, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, filepath.Base(dir))
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if retErr != nil {
			f.Close()
		}
	}()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errLocked
	} else if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, sameFolder(f, dir)
}

// sameFolder returns ErrNotFound unless f is still the folder at dir: one
// that was removed while we waited for its lock is not.
func sameFolder(f *os.File, dir string) error {
	a, err := f.Stat()
	if err != nil {
		return err
	}
	b, err := os.Lstat(dir)
	if err != nil || !os.SameFile(a, b) {
		return fmt.Errorf("%w: %q", ErrNotFound, filepath.Base(dir))
	}
	return nil
}

// wrap adds to an error, if there is one, what was being done.
func wrap(err *error, format string, args ...any) {
	if *err != nil {
		*err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), *err)
	}
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
