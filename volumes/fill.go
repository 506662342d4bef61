package volumes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/filelabel"
)

// deviceFillDir is fillDir for a volume with a device: inside its data, since
// only there a rename stays within one file system.
const deviceFillDir = ".compose-fill"

// fill copies what the image has at target into an empty volume, once,
// whatever number of containers come at the same time and however often it is
// interrupted: into a folder beside the data first, then, when the record says
// that this copy is whole, entry by entry into the data.
func (s *Store) fill(ctx context.Context, name, target, label string, rootfs *lazyRootfs) (retErr error) {
	defer wrap(&retErr, "fill volume %s from the image", name)
	if r, err := s.read(name); err != nil || settled(r) {
		return err
	}
	l, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer l.Close()
	r, err := s.read(name)
	if err != nil || settled(r) {
		return err
	}
	if r.Fill != fillMoving {
		copied, err := s.copyFromImage(ctx, r, target, label, rootfs)
		if err != nil || !copied {
			return err
		}
		r.Fill = fillMoving
		if err := writeRecord(s.dir(name), r); err != nil {
			return err
		}
	}
	if err := s.moveIn(r); err != nil {
		return err
	}
	r.Fill = fillDone
	return writeRecord(s.dir(name), r)
}

// settled reports whether there is nothing to fill any more. What a device
// holds is not ours to know: it may be empty again, as a tmpfs is after a
// reboot.
func settled(r record) bool { return r.Fill == fillDone && len(r.Options) == 0 }

// filling is where the copy of a volume is made.
func (s *Store) filling(r record) string {
	if len(r.Options) > 0 {
		return filepath.Join(s.Path(r.Name), deviceFillDir)
	}
	return filepath.Join(s.dir(r.Name), fillDir)
}

// copyFromImage makes a whole copy beside the data of a volume. It reports
// false when the volume has content already or the image has no such folder.
func (s *Store) copyFromImage(ctx context.Context, r record, target, label string, rootfs *lazyRootfs) (_ bool, retErr error) {
	dir := s.filling(r)
	if err := os.RemoveAll(dir); err != nil { // of an interrupted copy
		return false, err
	}
	if empty, err := isEmpty(s.Path(r.Name)); err != nil || !empty {
		return false, err
	}
	root, err := rootfs.open(ctx)
	if err != nil {
		return false, err
	}
	src, err := openInRoot(root, target)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("image folder: %w", err)
	}
	defer src.Close()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return false, err
	}
	defer func() {
		if retErr != nil {
			os.RemoveAll(dir)
		}
	}()
	dst, err := openFolder(dir)
	if err != nil {
		return false, err
	}
	defer dst.Close()
	if err := copyTree(ctx, src, dst); err != nil {
		return false, err
	}
	return true, filelabel.Tree(ctx, dir, label)
}

func isEmpty(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	return len(entries) == 0, err
}

func openFolder(path string) (*os.File, error) {
	return os.OpenFile(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

// moveIn moves a whole copy into the data of a volume and gives that folder
// the owner and mode of the image's. What is there meanwhile stays.
func (s *Store) moveIn(r record) error {
	from, err := openFolder(s.filling(r))
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := openFolder(s.Path(r.Name))
	if err != nil {
		return err
	}
	defer to.Close()
	names, err := from.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := moveEntry(from, to, name); err != nil {
			return err
		}
	}
	if err := copyAttributes(from, to); err != nil {
		return err
	}
	return os.RemoveAll(s.filling(r)) // with what was there already
}

func moveEntry(from, to *os.File, name string) error {
	err := unix.Renameat2(int(from.Fd()), name, int(to.Fd()), name, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) { // a file system that cannot refuse
		var st unix.Stat_t
		if err = unix.Fstatat(int(to.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); errors.Is(err, unix.ENOENT) {
			err = unix.Renameat(int(from.Fd()), name, int(to.Fd()), name)
		}
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return &os.PathError{Op: "move", Path: name, Err: err}
	}
	return nil
}
