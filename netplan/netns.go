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
	home, err := openNetns(threadNetns)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer unix.Close(home)
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
		if err := unix.Setns(home, unix.CLONE_NEWNET); err != nil {
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
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o400)
	if err != nil {
		return fmt.Errorf("make network namespace file: %w", err)
	}
	unix.Close(fd)
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

// sysctl writes a network setting of the calling thread's namespace.
func sysctl(name, value string) error {
	if err := writeFile("/proc/sys/net/"+name, value); err != nil {
		return fmt.Errorf("set net/%s to %s: %w", name, value, err)
	}
	return nil
}

// writeFile writes to a file that is there. It makes the three system calls and
// no more: os.File would first see whether the file can be polled.
func writeFile(path, value string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(value))
	return err
}

// openNetns returns a descriptor of the namespace at path.
func openNetns(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open network namespace %s: %w", path, err)
	}
	return fd, nil
}
