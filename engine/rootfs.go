package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
	place, err := c.mountPlace()
	if err != nil {
		return "", nil, err
	}
	leased, endLease, err := c.conn.WithLease(ctx, leases.WithRandomID(), leases.WithExpiration(imageMountLease))
	if err != nil {
		_ = os.Remove(place)
		return "", nil, edge(err)
	}
	key := "compose-mount-" + NewID()
	release = func() error {
		done := context.WithoutCancel(ctx)
		err := errors.Join(unmount(place), os.Remove(place))
		if removeErr := edge(c.snapshots.Remove(done, key)); removeErr != nil && !isNotFound(removeErr) {
			err = errors.Join(err, removeErr)
		}
		return errors.Join(err, edge(endLease(done)))
	}
	defer func() {
		if retErr != nil {
			_ = release()
		}
	}()
	mounts, err := c.snapshots.View(leased, key, img.ChainID)
	if err != nil {
		return "", nil, edge(err)
	}
	if err := mount.All(mounts, place); err != nil {
		return "", nil, err
	}
	return place, release, nil
}

// mountPlace makes an empty folder to mount on, named for this process, and
// takes away those of processes that are no more.
func (c *Client) mountPlace() (string, error) {
	dir := c.cfg.Root.ImageMounts()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		pid, _, _ := strings.Cut(e.Name(), "-")
		if !exists("/proc/" + pid) {
			stale := filepath.Join(dir, e.Name())
			_ = unmount(stale)
			_ = os.Remove(stale) // an empty folder, never a tree
		}
	}
	return os.MkdirTemp(dir, strconv.Itoa(os.Getpid())+"-")
}

// unmount takes a mount away; none at all is as good.
func unmount(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	return nil
}
