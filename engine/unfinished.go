package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Begin notes that a container is being made or removed: of a process that is
// killed meanwhile, what it leaves has no record that would name it. end takes
// the note back when the act is whole; else Unfinished tells of it once this
// process lets go.
func (c *Client) Begin(id string) (end func(whole bool), err error) {
	path := c.cfg.Root.Unfinished(id)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("note %s: %w", short(id), err)
	}
	for {
		fd, err := takeNote(path, unix.O_CREAT, unix.LOCK_EX)
		if errors.Is(err, errNoteGone) {
			continue // somebody took it to be of a killed process, before it was locked
		}
		if err != nil {
			return nil, fmt.Errorf("note %s: %w", short(id), err)
		}
		return noteEnd(path, fd), nil
	}
}

// errNoteGone means that a note was taken back while it was waited for.
var errNoteGone = errors.New("the note is gone")

// takeNote opens and locks the note at path, with flags of open(2) and an
// operation of flock(2). A lock on a file that has no name any more is none.
func takeNote(path string, flags, operation int) (fd int, retErr error) {
	fd, err := unix.Open(path, flags|unix.O_RDONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return -1, err
	}
	defer func() {
		if retErr != nil {
			unix.Close(fd)
		}
	}()
	for {
		err = unix.Flock(fd, operation)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return -1, err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return -1, err
	}
	if stat.Nlink == 0 {
		return -1, errNoteGone
	}
	return fd, nil
}

// noteEnd lets go of a note, and takes it back first when its act is whole.
func noteEnd(path string, fd int) func(whole bool) {
	return func(whole bool) {
		if whole {
			_ = os.Remove(path) // a note too many is found to be of nothing
		}
		unix.Close(fd)
	}
}

// Unfinished calls remove for each container that a process was making or
// removing when it was killed, and takes back the notes of those for which it
// returns nil.
func (c *Client) Unfinished(ctx context.Context, remove func(ctx context.Context, id string) error) error {
	entries, err := os.ReadDir(filepath.Dir(c.cfg.Root.Unfinished("")))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("look for what killed commands left: %w", err)
	}
	var errs []error
	for _, e := range entries {
		path := c.cfg.Root.Unfinished(e.Name())
		fd, err := takeNote(path, 0, unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.ENOENT) || errors.Is(err, errNoteGone) {
			continue // whoever is at it still lives, or has just finished
		}
		if err == nil {
			err = remove(ctx, e.Name())
			noteEnd(path, fd)(err == nil)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("remove what a killed command left of %s: %w", short(e.Name()), err))
		}
	}
	return errors.Join(errs...)
}
