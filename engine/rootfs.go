package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"
)

// imageMountLease is how long containerd keeps the files of a mounted image
// for a process that never releases them.
const imageMountLease = time.Hour

// MountImage mounts an image's files read-only, as its containers see them, at
// a temporary path until release is called.
func (c *Client) MountImage(ctx context.Context, img Image) (path string, release func() error, retErr error) {
	defer func() {
		if retErr != nil {
			retErr = fmt.Errorf("mount image %s: %w", img.Name, retErr)
		}
	}()
	if err := c.Sweep(ctx); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(c.cfg.Root.ImageMounts(), 0o700); err != nil {
		return "", nil, err
	}
	place, err := os.MkdirTemp(c.cfg.Root.ImageMounts(), strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return "", nil, err
	}
	undo := func() error { return c.releaseMount(context.WithoutCancel(ctx), place) }
	defer func() {
		if retErr != nil {
			_ = undo()
		}
	}()
	key := mountKey(place)
	leased, _, err := c.conn.WithLease(ctx, leases.WithID(key), leases.WithExpiration(imageMountLease))
	if err != nil {
		return "", nil, edge(err)
	}
	mounts, err := c.snapshots.View(leased, key, img.ChainID)
	if err != nil {
		return "", nil, edge(err)
	}
	if err := mount.All(mounts, place); err != nil {
		return "", nil, err
	}
	return place, undo, nil
}

// mountKey names the snapshot and the lease of an image that is mounted at
// place: as long as the folder is there, all three are found again.
func mountKey(place string) string { return mountPrefix + filepath.Base(place) }

const mountPrefix = "compose-mount-"

// releaseMount takes away what MountImage has made, the folder last.
func (c *Client) releaseMount(ctx context.Context, place string) error {
	err := unmount(place)
	if e := edge(c.snapshots.Remove(ctx, mountKey(place))); e != nil && !isNotFound(e) {
		err = errors.Join(err, e)
	}
	if e := edge(c.conn.LeasesService().Delete(ctx, leases.Lease{ID: mountKey(place)})); e != nil && !isNotFound(e) {
		err = errors.Join(err, e)
	}
	if err != nil {
		return err
	}
	return os.Remove(place) // an empty folder, never a tree
}

// Sweep takes away the image mounts of processes that were killed. It costs a
// look into a folder when there are none.
func (c *Client) Sweep(ctx context.Context) error {
	entries, err := os.ReadDir(c.cfg.Root.ImageMounts())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("look for mounts of killed commands: %w", err)
	}
	for _, e := range entries {
		if mounterLives(e.Name()) {
			continue
		}
		err := c.releaseMount(ctx, filepath.Join(c.cfg.Root.ImageMounts(), e.Name()))
		if err != nil && !errors.Is(err, os.ErrNotExist) { // another process may sweep, too
			return fmt.Errorf("take away the mount of a killed command: %w", err)
		}
	}
	return nil
}

// unmount takes a mount away; none at all is as good.
func unmount(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	return nil
}
