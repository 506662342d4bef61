package volumes

import (
	"context"
	"errors"

	"github.com/compose-first/compose/project"
)

// WriteFiles keeps the contents, under "secret/NAME" and "config/NAME" as
// project.FileContents returns them, of those files of a container that have
// no Source, readable by root alone, over reboots.
func (s *Store) WriteFiles(ctx context.Context, containerID string, files []project.File, contents map[string][]byte) error {
	return errors.New("in progress")
}

// RestoreFiles puts a container's secrets and configs on a tmpfs and returns
// how to mount them, read-only; always in the same places. It is to be called
// before every start: files are read again from their sources. A file that
// sets neither owner nor mode is mounted as it is on the host.
func (s *Store) RestoreFiles(ctx context.Context, containerID string, files []project.File) ([]Mount, error) {
	return nil, errors.New("in progress")
}

// RemoveFiles forgets all that is kept for a container that is gone. Doing so
// twice is no error.
func (s *Store) RemoveFiles(ctx context.Context, containerID string) error {
	return errors.New("in progress")
}
