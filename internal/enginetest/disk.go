package enginetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// SmallDisk starts another engine of the same binary, whose state is on a disk
// of its own of so many bytes.
func (e *Engine) SmallDisk(ctx context.Context, bytes int64) (_ *Engine, retErr error) {
	root, err := os.MkdirTemp("/tmp", "ce")
	if err != nil {
		return nil, err
	}
	small := &Engine{Root: root, Binary: e.Binary, Libexec: e.Libexec, disk: filepath.Join(root, "lib")}
	defer func() {
		if retErr != nil {
			_ = small.unmountDisk()
			_ = os.RemoveAll(root)
		}
	}()
	if err := os.Mkdir(small.disk, 0o711); err != nil {
		return nil, err
	}
	if err := unix.Mount("tmpfs", small.disk, "tmpfs", 0, fmt.Sprintf("size=%d,mode=711", bytes)); err != nil {
		return nil, fmt.Errorf("mount a small disk: %w", err)
	}
	return small, small.start(ctx)
}

// FillDisk leaves no byte free on a small disk, and returns what frees them again.
func (e *Engine) FillDisk() (free func() error, err error) {
	path := filepath.Join(e.disk, "filler")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err = f.Write(block); err != nil {
			block = block[:len(block)/2] // what is left may be smaller
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		return nil, errors.Join(err, os.Remove(path))
	}
	return func() error { return os.Remove(path) }, nil
}

func (e *Engine) unmountDisk() error {
	if e.disk == "" {
		return nil
	}
	if err := unix.Unmount(e.disk, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmount the small disk: %w", err)
	}
	return nil
}
