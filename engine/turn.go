package engine

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/lock"
)

// turn lets nobody else change the run of a container: start it, settle its
// end or remove it. It is held for the moment of the change only. A container
// without a folder is none, or a damaged one: nobody waits for it.
func (c *Client) turn(ctx context.Context, id string) (release func(), err error) {
	fd, err := unix.Open(c.cfg.Root.Container(id), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return func() {}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open folder of %s: %w", short(id), err)
	}
	if err := lock.Flock(ctx, fd, unix.LOCK_EX, nil); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("lock %s: %w", short(id), err)
	}
	return func() { unix.Close(fd) }, nil
}
