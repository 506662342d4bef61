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
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("note %s: %w", short(id), err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("note %s: %w", short(id), err)
	}
	return func(whole bool) {
		if whole {
			_ = os.Remove(path) // a note too many is found to be of nothing
		}
		unix.Close(fd)
	}, nil
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
		end, err := c.Begin(e.Name())
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue // whoever is at it still lives
		}
		if err == nil {
			err = remove(ctx, e.Name())
			end(err == nil)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("remove what a killed command left of %s: %w", short(e.Name()), err))
		}
	}
	return errors.Join(errs...)
}
