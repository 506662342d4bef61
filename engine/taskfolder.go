package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// containerd gives each task a folder, and a new one only once the old is gone.
// To delete one it gives it a name with a dot in front, and then empties it. A
// runc or shim that is just being ended may still write there: containerd then
// gives up, and since the name with the dot is taken, cannot delete the next
// folder of that container either. Nothing takes such folders away before
// containerd starts anew.

// deletingLimit is how long containerd may be at a folder whose shim is gone:
// it then only unmounts and deletes.
const deletingLimit = 3 * time.Second

// taskFolders is where the engine's own containerd has the folders of tasks.
// Source: containerd, core/runtime/v2.
func (c *Client) taskFolders() string {
	return filepath.Join(c.cfg.Root.ContainerdState(), "io.containerd.runtime.v2.task", Namespace)
}

// clearTaskFolder takes away what containerd has given up deleting of a
// container's task. since is how long it has been in the way: what is not
// surely given up stays. Other engines' containerds have their folders to
// themselves.
func (c *Client) clearTaskFolder(id string, since time.Duration) error {
	if !c.own() {
		return nil
	}
	dir := c.taskFolders()
	err := dropTaskFolder(filepath.Join(dir, "."+id))
	folder := filepath.Join(dir, id)
	if since < deletingLimit || !exists(folder) || slices.ContainsFunc(shims(c.cfg.Address), func(s shim) bool { return s.id == id }) {
		return err
	}
	return errors.Join(err, dropTaskFolder(folder))
}

// dropTaskFolder deletes a task's folder, none at all too, but never what is
// mounted in it: those are the container's files.
func dropTaskFolder(path string) error {
	if !exists(path) {
		return nil
	}
	rootfs := filepath.Join(path, "rootfs")
	if err := unix.Unmount(rootfs, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", rootfs, err)
	}
	if err := removeIfThere(rootfs); err != nil {
		return fmt.Errorf("delete folder of a task: %w", err)
	}
	if err := removeTree(path); err != nil {
		return fmt.Errorf("delete folder of a task: %w", err)
	}
	return nil
}
