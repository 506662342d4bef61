package netplan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// threadNetns is the network namespace of the calling thread.
const threadNetns = "/proc/thread-self/ns/net"

// isNetns reports whether a network namespace is bound at path.
func isNetns(path string) (bool, error) {
	var s unix.Statfs_t
	err := unix.Statfs(path, &s)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", path, err)
	}
	return s.Type == unix.NSFS_MAGIC, nil
}

// inNetns runs do in a network namespace: a new one when fd is below 0. The
// thread goes back to the host's afterwards; one that cannot is never used again.
func inNetns(fd int, do func() error) (retErr error) {
	runtime.LockOSThread()
	home, err := os.Open(threadNetns)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("open own network namespace: %w", err)
	}
	defer home.Close()
	if fd < 0 {
		err = unix.Unshare(unix.CLONE_NEWNET)
	} else {
		err = unix.Setns(fd, unix.CLONE_NEWNET)
	}
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter network namespace: %w", err)
	}
	defer func() {
		// A locked thread ends with its goroutine, so one that is stuck in the
		// wrong namespace cannot serve anyone else.
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
			retErr = errors.Join(retErr, fmt.Errorf("leave network namespace: %w", err))
			return
		}
		runtime.UnlockOSThread()
	}()
	return do()
}

// bindNetns binds the namespace that source names at path, so that it lives on
// without a process in it. What was at path before is covered.
func bindNetns(source, path string) (retErr error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make network namespace folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY|unix.O_NOFOLLOW, 0o400)
	if err != nil {
		return fmt.Errorf("make network namespace file: %w", err)
	}
	f.Close()
	defer func() {
		if retErr != nil {
			os.Remove(path)
		}
	}()
	if err := unix.Mount(source, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind network namespace at %s: %w", path, err)
	}
	return nil
}

// unbindNetns undoes bindNetns, as often as it was done; nothing there is no error.
func unbindNetns(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // no mount, no file
			break
		}
		if err != nil {
			return fmt.Errorf("unbind network namespace %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove network namespace file: %w", err)
	}
	return nil
}

// sysctl writes a network setting of the calling thread's namespace, unless it has that value.
func sysctl(name, value string) error {
	path := filepath.Join("/proc/sys/net", name)
	if b, err := os.ReadFile(path); err == nil && string(b) == value+"\n" {
		return nil
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		return fmt.Errorf("set net/%s to %s: %w", name, value, err)
	}
	return nil
}
