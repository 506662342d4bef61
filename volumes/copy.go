package volumes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// copyTree copies what the folder src has into the empty folder dst, and its
// owner, mode, times and extended attributes to dst: files with their holes,
// symbolic and hard links, devices, pipes and sockets. All of it is on disk
// when it returns.
//
// Every step goes through an open folder and follows no link: another process
// that writes to dst meanwhile cannot lead it out.
func copyTree(ctx context.Context, src, dst *os.File) error {
	c := copier{root: dst, linked: map[inode]string{}}
	if err := c.folder(ctx, src, dst, "."); err != nil {
		return err
	}
	if c.files > syncEach {
		return unix.Syncfs(int(dst.Fd()))
	}
	return nil
}

// syncEach is how many files are synced one by one; for more, syncing the
// whole file system is quicker.
const syncEach = 32

type inode struct{ dev, ino uint64 }

type copier struct {
	root   *os.File
	linked map[inode]string // where in root a file with several names is
	files  int
}

// folder copies the entries of src, then its attributes. at is where dst is
// below root.
func (c *copier) folder(ctx context.Context, src, dst *os.File, at string) error {
	names, err := src.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("read %s: %w", at, err)
	}
	for _, name := range names {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := c.entry(ctx, src, dst, name, path.Join(at, name)); err != nil {
			return fmt.Errorf("copy %s: %w", path.Join(at, name), err)
		}
	}
	return copyAttributes(src, dst)
}

func (c *copier) entry(ctx context.Context, src, dst *os.File, name, at string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(int(src.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	kind := st.Mode & unix.S_IFMT
	if kind != unix.S_IFDIR && st.Nlink > 1 {
		id := inode{st.Dev, st.Ino}
		if first, ok := c.linked[id]; ok {
			return c.link(first, dst, name)
		}
		c.linked[id] = at
	}
	switch kind {
	case unix.S_IFDIR:
		return c.subfolder(ctx, src, dst, name, at)
	case unix.S_IFREG:
		return c.file(ctx, src, dst, name, st)
	case unix.S_IFLNK:
		return copySymlink(src, dst, name, st)
	default:
		return copyNode(src, dst, name, st)
	}
}

func (c *copier) subfolder(ctx context.Context, src, dst *os.File, name, at string) error {
	if err := unix.Mkdirat(int(dst.Fd()), name, 0o700); err != nil {
		return err
	}
	from, err := openEntry(src, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := openEntry(dst, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer to.Close()
	return c.folder(ctx, from, to, at)
}

// link gives a file that was copied to first, below root, another name.
func (c *copier) link(first string, dst *os.File, name string) error {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	if dir := path.Dir(first); dir != "." {
		fd, err := unix.Openat2(int(c.root.Fd()), dir, &how)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Linkat(fd, path.Base(first), int(dst.Fd()), name, 0)
	}
	return unix.Linkat(int(c.root.Fd()), first, int(dst.Fd()), name, 0)
}

func (c *copier) file(ctx context.Context, src, dst *os.File, name string, st unix.Stat_t) (retErr error) {
	from, err := openEntry(src, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := openEntry(dst, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { retErr = errors.Join(retErr, to.Close()) }()
	if err := copyContent(ctx, from, to, st.Size); err != nil {
		return err
	}
	if err := copyAttributes(from, to); err != nil {
		return err
	}
	if c.files++; c.files <= syncEach {
		return to.Sync()
	}
	return nil
}

func openEntry(dir *os.File, name string, flags int, mode uint32) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// copyContent copies the data of a file and leaves its holes.
func copyContent(ctx context.Context, from, to *os.File, size int64) error {
	for at := int64(0); at < size; {
		data, err := unix.Seek(int(from.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // a hole to the end
			break
		}
		end := size
		if err != nil { // a file system that knows of no holes
			data = at
		} else if hole, err := unix.Seek(int(from.Fd()), data, unix.SEEK_HOLE); err == nil {
			end = hole
		}
		if err := copyRange(ctx, from, to, data, end); err != nil {
			return err
		}
		at = end
	}
	return to.Truncate(size)
}

// chunk is how much is copied between two looks at the context, in bytes.
const chunk = 64 << 20

func copyRange(ctx context.Context, from, to *os.File, at, end int64) error {
	for at < end {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, err := copySome(from, to, at, min(end-at, chunk))
		if err != nil {
			return err
		}
		if n == 0 { // it became shorter meanwhile
			return nil
		}
		at += n
	}
	return nil
}

func copySome(from, to *os.File, at, length int64) (int64, error) {
	in, out := at, at
	n, err := unix.CopyFileRange(int(from.Fd()), &in, int(to.Fd()), &out, int(length), 0)
	if err == nil && n > 0 {
		return int64(n), nil
	}
	if errors.Is(err, unix.ENOSPC) {
		return 0, err
	}
	return io.Copy(io.NewOffsetWriter(to, at), io.NewSectionReader(from, at, length))
}

func copySymlink(src, dst *os.File, name string, st unix.Stat_t) error {
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(src.Fd()), name, target)
	if err != nil {
		return err
	}
	if err := unix.Symlinkat(string(target[:n]), int(dst.Fd()), name); err != nil {
		return err
	}
	if err := copyOwnerAndTimes(dst, name, st); err != nil {
		return err
	}
	return copyEntryXattrs(src, dst, name)
}

// copyNode copies a device, pipe or socket.
func copyNode(src, dst *os.File, name string, st unix.Stat_t) error {
	if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 { // an overlay's mark of a deleted file
		return nil
	}
	if err := unix.Mknodat(int(dst.Fd()), name, st.Mode&unix.S_IFMT|0o600, int(st.Rdev)); err != nil {
		return err
	}
	if err := unix.Fchownat(int(dst.Fd()), name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	// There is no mode change that follows no link before Linux 6.6; a
	// reference to the entry itself serves.
	ref, err := openEntry(dst, name, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer ref.Close()
	if err := unix.Chmod(procPath(ref), st.Mode&0o7777); err != nil {
		return err
	}
	return unix.UtimesNanoAt(int(dst.Fd()), name, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

func copyOwnerAndTimes(dst *os.File, name string, st unix.Stat_t) error {
	if err := unix.Fchownat(int(dst.Fd()), name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return unix.UtimesNanoAt(int(dst.Fd()), name, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

// copyAttributes copies owner, mode, extended attributes and times, in the
// order in which one does not undo another.
func copyAttributes(src, dst *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(src.Fd()), &st); err != nil {
		return err
	}
	if err := unix.Fchown(int(dst.Fd()), int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Fchmod(int(dst.Fd()), st.Mode&0o7777); err != nil {
		return err
	}
	if err := copyXattrs(procPath(src), procPath(dst), unix.Listxattr, unix.Getxattr, unix.Setxattr); err != nil {
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, procPath(dst), []unix.Timespec{st.Atim, st.Mtim}, 0)
}

func copyEntryXattrs(src, dst *os.File, name string) error {
	return copyXattrs(path.Join(procPath(src), name), path.Join(procPath(dst), name), unix.Llistxattr, unix.Lgetxattr, unix.Lsetxattr)
}

// procPath is a path of an open file that leads nowhere else.
func procPath(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// foreignXattrs belong to the file system or policy that a file lies in, not
// to the file.
var foreignXattrs = []string{"trusted.overlay.", "user.overlay.", "security.selinux", "system.nfs4_acl"}

func copyXattrs(src, dst string,
	list func(string, []byte) (int, error),
	get func(string, string, []byte) (int, error),
	set func(string, string, []byte, int) error,
) error {
	names, err := grown(func(b []byte) (int, error) { return list(src, b) })
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		if name == "" || isForeign(name) {
			continue
		}
		value, err := grown(func(b []byte) (int, error) { return get(src, name, b) })
		if err != nil {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
		if err := set(dst, name, value, 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
	}
	return nil
}

func isForeign(name string) bool {
	for _, prefix := range foreignXattrs {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// grown calls read, which says with no buffer how long its result is, until
// the result fits.
func grown(read func([]byte) (int, error)) ([]byte, error) {
	for {
		n, err := read(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		b := make([]byte, n)
		n, err = read(b)
		if errors.Is(err, unix.ERANGE) {
			continue
		}
		return b[:max(n, 0)], err
	}
}
