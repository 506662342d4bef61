// Package filelabel puts SELinux labels on files that containers see, where
// the policy of the host asks for them. Which label a container's files have is
// the engine's to say; "" is none, with which nothing here does anything.
package filelabel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/selinux/go-selinux"
	"golang.org/x/sys/unix"
)

// sharedLevel has no categories: whatever container may use what has it.
const sharedLevel = "s0"

// Shared is a container's label without the categories that are its own.
func Shared(label string) (string, error) {
	if label == "" {
		return "", nil
	}
	parts, err := selinux.NewContext(label)
	if err != nil {
		return "", fmt.Errorf("label %q: %w", label, err)
	}
	if parts["level"] != "" { // a policy may know of no levels
		parts["level"] = sharedLevel
	}
	return parts.Get(), nil
}

// Of is the label of a file or folder, or of a link itself; "" when it has none.
func Of(path string) string {
	label, err := selinux.LfileLabel(path)
	if err != nil {
		return ""
	}
	return label
}

// Set labels a file or folder, or a link itself. A file system that keeps no
// labels, as NFS may, is left with those that it shows.
func Set(path, label string) error {
	if label == "" || Of(path) == label {
		return nil
	}
	if err := selinux.LsetFileLabel(path, label); err != nil && !errors.Is(err, unix.ENOTSUP) {
		return fmt.Errorf("SELinux label: %w", err)
	}
	return nil
}

// Tree labels what is at path and all below it, path itself last: a folder
// that has a label has it throughout, if Tree set it. A link at path is
// followed; those below are labelled themselves, whoever exchanges folders for
// links meanwhile.
func Tree(ctx context.Context, path, label string) error {
	if label == "" {
		return nil
	}
	top, err := open(path)
	if err != nil {
		return err
	}
	defer top.Close()
	return tree(ctx, top, label)
}

// Host is Tree for a path of the host's own, which must not be Guarded.
func Host(ctx context.Context, path, label string) error {
	if label == "" {
		return nil
	}
	top, err := open(path)
	if err != nil {
		return err
	}
	defer top.Close()
	if err := guardedFile(top); err != nil {
		return err
	}
	return tree(ctx, top, label)
}

// open refers to what is at path, wherever links lead.
func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, unix.O_PATH, 0)
	if err != nil {
		return nil, fmt.Errorf("SELinux label: %w", err)
	}
	return f, nil
}

// guardedFile looks at where an open file is, which no link can change.
func guardedFile(f *os.File) error {
	path, err := os.Readlink(procPath(f))
	if err != nil {
		return fmt.Errorf("SELinux label: %w", err)
	}
	return guarded(path)
}

func tree(ctx context.Context, top *os.File, label string) error {
	info, err := top.Stat()
	if err != nil {
		return fmt.Errorf("SELinux label: %w", err)
	}
	if !info.IsDir() {
		return setOpen(top, label)
	}
	dir, err := os.OpenFile(procPath(top), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("SELinux label: %w", err)
	}
	defer dir.Close()
	return folder(ctx, dir, label)
}

// folder labels the entries of a folder, then the folder.
func folder(ctx context.Context, dir *os.File, label string) error {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("SELinux label: %w", err)
	}
	for _, name := range names {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := entry(ctx, dir, name, label); err != nil && !errors.Is(err, unix.ENOENT) { // removed meanwhile
			return err
		}
	}
	return setOpen(dir, label)
}

func entry(ctx context.Context, dir *os.File, name, label string) error {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return Set(filepath.Join(procPath(dir), name), label)
	case err != nil:
		return fmt.Errorf("SELinux label: %w", &os.PathError{Op: "open", Path: filepath.Join(dir.Name(), name), Err: err})
	}
	sub := os.NewFile(uintptr(fd), filepath.Join(dir.Name(), name))
	defer sub.Close()
	return folder(ctx, sub, label)
}

// setOpen labels an open file, which is no link.
func setOpen(f *os.File, label string) error {
	if now, err := selinux.FileLabel(procPath(f)); err == nil && now == label {
		return nil
	}
	if err := selinux.SetFileLabel(procPath(f), label); err != nil && !errors.Is(err, unix.ENOTSUP) {
		return fmt.Errorf("SELinux label: %w", err)
	}
	return nil
}

// procPath is a path of an open file that leads nowhere else.
func procPath(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }
