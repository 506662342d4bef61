package volumes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/filelabel"
	"github.com/compose-first/compose/internal/lock"
	"github.com/compose-first/compose/project"
)

// WriteFiles keeps the contents, under "secret/NAME" and "config/NAME" as
// project.FileContents returns them, of those files of a container that have
// no Source, readable by root alone, over reboots.
func (s *Store) WriteFiles(ctx context.Context, containerID string, files []project.File, contents map[string][]byte) error {
	if err := checkID(containerID); err != nil {
		return err
	}
	dir := s.root.KeptFiles(containerID)
	for _, f := range files {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if f.Source != "" {
			continue
		}
		content, ok := contents[fileKey(f)]
		if !ok {
			return fmt.Errorf("%s %q has no content", f.Kind, f.Name)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("keep %s %q: %w", f.Kind, f.Name, err)
		}
		if err := writeFile(filepath.Join(dir, keptName(f)), content, 0o600); err != nil {
			return fmt.Errorf("keep %s %q: %w", f.Kind, f.Name, err)
		}
	}
	return nil
}

func fileKey(f project.File) string { return f.Kind + "/" + f.Name }

// keptName is where a file's content is kept: of one length, and no path,
// whatever its name.
func keptName(f project.File) string {
	sum := sha256.Sum256([]byte(fileKey(f)))
	return hex.EncodeToString(sum[:16])
}

// RestoreFiles puts a container's secrets and configs on a tmpfs and returns
// how to mount them, read-only; always in the same places. It is to be called
// before every start: files are read again from their sources. One that is to
// be as it is on the host, and a folder, is mounted from there; but where
// containers have SELinux labels a file is copied all the same, since its own
// label is seldom one that they may read. label is that of the container's files.
// Errors name the secret or config, never its content.
func (s *Store) RestoreFiles(ctx context.Context, containerID, label string, files []project.File) ([]Mount, error) {
	if err := checkID(containerID); err != nil {
		return nil, err
	}
	var mounts []Mount
	for i, f := range files {
		m, err := s.restoreFile(ctx, containerID, label, i, f)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", f.Kind, f.Name, err)
		}
		mounts = append(mounts, m)
	}
	return Order(mounts), nil
}

func (s *Store) restoreFile(ctx context.Context, containerID, label string, i int, f project.File) (Mount, error) {
	if !path.IsAbs(f.Target) || path.Clean(f.Target) == "/" {
		return Mount{}, fmt.Errorf("target %q is not a path of a file", f.Target)
	}
	f, asIs, err := mountedAsIs(f, label)
	if err != nil {
		return Mount{}, err
	}
	if asIs {
		return Mount{Type: "bind", Source: f.Source, Target: f.Target, Options: []string{"rbind", "rprivate", "ro"}}, nil
	}
	content, err := s.content(containerID, f)
	if err != nil {
		return Mount{}, err
	}
	dir, err := s.filesDir(ctx, containerID)
	if err != nil {
		return Mount{}, err
	}
	dst := filepath.Join(dir, strconv.Itoa(i))
	if err := place(dst, content, f, label); err != nil {
		return Mount{}, err
	}
	return Mount{Type: "bind", Source: dst, Target: f.Target, Options: []string{"bind", "rprivate", "ro", "nosuid", "nodev"}}, nil
}

// mountedAsIs reports whether a file is mounted from its source. One that is to
// be as it is there, and is copied for its label, comes back with its owner and mode.
func mountedAsIs(f project.File, label string) (project.File, bool, error) {
	if f.Source == "" {
		return f, false, nil
	}
	var st unix.Stat_t
	if err := unix.Stat(f.Source, &st); err != nil {
		return f, false, &os.PathError{Op: "stat", Path: f.Source, Err: err}
	}
	kind := st.Mode & unix.S_IFMT
	if kind == unix.S_IFDIR && !f.AsIs {
		return f, false, fmt.Errorf("%s is a folder: it cannot be given an owner or mode", f.Source)
	}
	if kind != unix.S_IFDIR && kind != unix.S_IFREG {
		return f, false, fmt.Errorf("%s is neither a file nor a folder", f.Source)
	}
	if f.AsIs && kind == unix.S_IFREG && label != "" {
		f.UID, f.GID, f.Mode = st.Uid, st.Gid, st.Mode&0o7777
		return f, false, nil
	}
	return f, f.AsIs, nil
}

func (s *Store) content(containerID string, f project.File) ([]byte, error) {
	if f.Source == "" {
		b, err := os.ReadFile(filepath.Join(s.root.KeptFiles(containerID), keptName(f)))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("its content is no longer kept: recreate the container")
		}
		return b, err
	}
	src, err := os.OpenFile(f.Source, unix.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe put there meanwhile does not hold us up
	if err != nil {
		return nil, err
	}
	defer src.Close()
	return io.ReadAll(src)
}

// place writes what the container sees, whole: a new file each time, since a
// container that still runs may have the old one.
func place(dst string, content []byte, f project.File, label string) (retErr error) {
	tmp, err := os.CreateTemp(filepath.Dir(dst), ".new-")
	if err != nil {
		return err
	}
	defer func() {
		tmp.Close()
		if retErr != nil {
			os.Remove(tmp.Name())
		}
	}()
	if _, err := tmp.Write(content); err != nil {
		return err
	}
	if err := tmp.Chown(int(f.UID), int(f.GID)); err != nil {
		return err
	}
	if err := unix.Fchmod(int(tmp.Fd()), f.Mode&0o7777&^0o222); err != nil {
		return err
	}
	if err := filelabel.Set(tmp.Name(), label); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), dst)
}

// filesDir makes the folder of a container's secrets and configs, on a tmpfs:
// they never reach a disk. The tmpfs is there while any container has a folder
// on it. That it is marked noexec does not hinder a config with an execute
// bit: the container's own mount of it is not.
func (s *Store) filesDir(ctx context.Context, containerID string) (_ string, retErr error) {
	root, dir := s.root.RunFiles(), s.root.Files(containerID)
	defer wrap(&retErr, "mount tmpfs at %s", root)
	if on, err := onTmpfs(dir); err == nil && on {
		return dir, nil
	}
	l, err := s.lockFiles(ctx)
	if err != nil {
		return "", err
	}
	defer l.Release()
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", err
	}
	on, err := onTmpfs(root)
	if err == nil && !on {
		err = unix.Mount("tmpfs", root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700")
	}
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o700)
}

// lockFiles takes the lock for making and removing folders on the tmpfs, and
// the tmpfs itself.
func (s *Store) lockFiles(ctx context.Context) (*lock.Lock, error) {
	return lock.Take(ctx, s.root.Lock("files"), "secrets", nil)
}

// removeFilesDir removes a container's folder, and the tmpfs with the last.
func (s *Store) removeFilesDir(ctx context.Context, containerID string) error {
	if _, err := os.Lstat(s.root.Files(containerID)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	l, err := s.lockFiles(ctx)
	if err != nil {
		return err
	}
	defer l.Release()
	if err := os.RemoveAll(s.root.Files(containerID)); err != nil {
		return err
	}
	root := s.root.RunFiles()
	if empty, err := isEmpty(root); err != nil || !empty {
		return err
	}
	if mounted, err := isMountpoint(root); err != nil || !mounted {
		return err
	}
	if err := unix.Unmount(root, unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EBUSY) { // somebody looks into it
		return err
	}
	return nil
}

func onTmpfs(dir string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false, err
	}
	return slices.Contains([]int64{unix.TMPFS_MAGIC, unix.RAMFS_MAGIC}, int64(st.Type)), nil
}

// RemoveFiles forgets all that is kept for a container that is gone. Doing so
// twice is no error.
func (s *Store) RemoveFiles(ctx context.Context, containerID string) error {
	if err := checkID(containerID); err != nil {
		return err
	}
	err := errors.Join(
		s.removeFilesDir(ctx, containerID),
		os.RemoveAll(s.root.KeptFiles(containerID)),
		removeMounted(s.root.Subpaths(containerID)),
	)
	if err != nil {
		return fmt.Errorf("remove files of container %s: %w", containerID, err)
	}
	return nil
}

// removeMounted removes a folder of mountpoints, and never what is mounted.
func removeMounted(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := unmountBelow(dir); err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Remove(dir)
}
