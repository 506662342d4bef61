package enginetest

import (
	"context"
	"fmt"
	"path/filepath"
)

// LoadBusybox puts docker.io/library/busybox:latest into the engine, from the
// archive that `make images` makes.
func (e *Engine) LoadBusybox(ctx context.Context) error { return e.LoadImage(ctx, "busybox") }

// LoadImage puts an image into the engine, from the archive of that name that
// `make images` makes.
func (e *Engine) LoadImage(ctx context.Context, name string) error {
	folder, err := Images()
	if err != nil {
		return err
	}
	archive := filepath.Join(folder, name+".tar")
	if r := e.Run(ctx, e.Root, nil, "image", "load", "-q", "-i", archive); r.Code != 0 {
		return fmt.Errorf("load %s (run `make images`): exit %d\n%s%s", archive, r.Code, r.Stdout, r.Stderr)
	}
	return nil
}

// Images is the folder of the archives that `make images` makes.
func Images() (string, error) {
	repository, err := Repository()
	if err != nil {
		return "", err
	}
	return filepath.Join(repository, ".cache", "images"), nil
}
