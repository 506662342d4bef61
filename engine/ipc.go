package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/containers"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/thread"
	"github.com/compose-first/compose/project"
)

// refreshJoins points a container's spec at the pid and ipc namespaces it
// joins, which are those of the other containers' present processes, and
// borrows the other's shared memory. done is called once the task has started.
func (c *Client) refreshJoins(ctx context.Context, r *containers.Container, record project.Record) (done func(), err error) {
	done = func() {}
	pidOf, ipcOf := joined(record.PIDMode), joined(record.IPCMode)
	if pidOf == "" && ipcOf == "" {
		return done, nil
	}
	spec, err := decodeSpec(r.Spec)
	if err != nil {
		return done, err
	}
	for _, j := range []struct {
		kind   specs.LinuxNamespaceType
		file   string
		target string
	}{
		{specs.PIDNamespace, "pid", pidOf},
		{specs.IPCNamespace, "ipc", ipcOf},
	} {
		if j.target == "" {
			continue
		}
		pid, err := c.runningPID(ctx, j.target)
		if err != nil {
			return done, fmt.Errorf("join the %s namespace of %s: %w", j.file, short(j.target), err)
		}
		setNamespace(spec, j.kind, fmt.Sprintf("/proc/%d/ns/%s", pid, j.file))
		if j.kind == specs.IPCNamespace {
			place := c.cfg.Root.SharedMemory(r.ID)
			if err := borrowSharedMemory(pid, place); err != nil {
				return done, fmt.Errorf("share the memory of %s: %w", short(j.target), err)
			}
			done = func() { _ = dropSharedMemory(place) } // the container has its own mount of it by now
		}
	}
	encoded, err := encodeSpec(spec)
	if err != nil {
		return done, err
	}
	updated, err := c.containers.Update(ctx, containers.Container{ID: r.ID, Spec: encoded}, "spec")
	if err != nil {
		return done, fmt.Errorf("write spec: %w", edge(err))
	}
	*r = updated
	return done, nil
}

// runningPID is the main process of a running container, on the host.
func (c *Client) runningPID(ctx context.Context, id string) (uint32, error) {
	t, err := c.getTask(ctx, id)
	if err != nil {
		return 0, err
	}
	if t == nil || t.Pid == 0 {
		return 0, fmt.Errorf("it is not running: %w", ErrConflict)
	}
	return t.Pid, nil
}

func setNamespace(s *specs.Spec, kind specs.LinuxNamespaceType, path string) {
	for i := range s.Linux.Namespaces {
		if s.Linux.Namespaces[i].Type == kind {
			s.Linux.Namespaces[i].Path = path
			return
		}
	}
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
}

// borrowSharedMemory binds the /dev/shm that a process sees at place. A mount
// of another mount namespace cannot be bound by path: a copy of it is opened
// inside, and moved to its place outside.
func borrowSharedMemory(pid uint32, place string) error {
	if err := dropSharedMemory(place); err != nil {
		return err
	}
	if err := os.MkdirAll(place, 0o700); err != nil {
		return err
	}
	fd, err := openTreeInside(pid, "/dev/shm")
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, place, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("move mount: %w", err)
	}
	return nil
}

// openTreeInside opens a copy of the mount at path as the process sees it. It
// enters the process's mount namespace on a thread that ends afterwards.
func openTreeInside(pid uint32, path string) (int, error) {
	ns, err := unix.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open mount namespace: %w", err)
	}
	defer unix.Close(ns)
	fd := -1
	thread.Apart(func() { fd, err = openTreeIn(ns, path) })
	return fd, err
}

// openTreeIn leaves the calling thread in the mount namespace ns.
func openTreeIn(ns int, path string) (int, error) {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return -1, fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Setns(ns, unix.CLONE_NEWNS); err != nil {
		return -1, fmt.Errorf("enter mount namespace: %w", err)
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	return fd, nil
}

// dropSharedMemory takes a borrowed mount away; none at all is as good.
func dropSharedMemory(place string) error {
	err := unix.Unmount(place, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", filepath.Base(place), err)
	}
	return removeIfThere(place) // an empty folder, never a tree
}
