package enginetest

import (
	"context"
	"fmt"
	"path/filepath"
)

// LoadBusybox puts docker.io/library/busybox:latest into the engine, from the
// archive that `make images` makes.
func (e *Engine) LoadBusybox(ctx context.Context) error {
	repository, err := Repository()
	if err != nil {
		return err
	}
	archive := filepath.Join(repository, ".cache", "images", "busybox.tar")
	if r := e.Run(ctx, e.Root, nil, "image", "load", "-q", "-i", archive); r.Code != 0 {
		return fmt.Errorf("load %s (run `make images`): exit %d\n%s%s", archive, r.Code, r.Stdout, r.Stderr)
	}
	return nil
}
