package volumes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// mountDevice mounts the device of a volume with options at its data folder,
// unless it is there already. The volume's lock is held.
func (s *Store) mountDevice(ctx context.Context, v Volume) (retErr error) {
	defer wrap(&retErr, "mount volume %s", v.Name)
	if len(v.Options) == 0 {
		return nil
	}
	path := s.Path(v.Name)
	if mounted, err := isMountpoint(path); err != nil || mounted {
		return err
	}
	words, err := mountWords(ctx, v.Options)
	if err != nil {
		return err
	}
	device := v.Options[optionDevice]
	m := mount.Mount{Type: v.Options[optionType], Source: device, Options: words}
	if err := m.Mount(path); err != nil {
		return fmt.Errorf("device %s: %w", device, err)
	}
	return nil
}

// mountWords returns the words of o. A host name in addr, which the kernel
// does not understand, becomes an address.
func mountWords(ctx context.Context, options map[string]string) ([]string, error) {
	if options[optionWords] == "" {
		return nil, nil
	}
	words := strings.Split(options[optionWords], ",")
	for i, w := range words {
		host, ok := strings.CutPrefix(w, "addr=")
		if !ok || net.ParseIP(host) != nil {
			continue
		}
		addrs, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w, err)
		}
		words[i] = "addr=" + addrs[0]
	}
	return words, nil
}

func isMountpoint(path string) (bool, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS, &st)
	if err != nil {
		return false, fmt.Errorf("stat %s: %w", path, err)
	}
	if st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
	}
	return mountinfo.Mounted(path) // kernels before 5.8
}

// unmountBelow unmounts all that is mounted at or below dir, innermost first,
// and makes sure that nothing is left: what is deleted next must not reach
// through a mount.
func unmountBelow(dir string) error {
	mounts, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(mounts) {
		if err := unix.Unmount(m, unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", m, err)
		}
	}
	if len(mounts) == 0 {
		return nil
	}
	left, err := mountsBelow(dir)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%s is still mounted", left[0])
	}
	return err
}

// mountsBelow returns the mountpoints at or below dir, outer ones first.
func mountsBelow(dir string) ([]string, error) {
	infos, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	var points []string
	for _, m := range infos {
		points = append(points, m.Mountpoint)
	}
	slices.SortStableFunc(points, func(a, b string) int { return len(a) - len(b) })
	return points, nil
}

// mountFolder mounts the folder or file that dir, already open, is at target, which is
// made. Being given an open file, nobody can lead the mount elsewhere.
func mountFolder(f *os.File, target string) (retErr error) {
	defer wrap(&retErr, "mount at %s", target)
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := makeTarget(target, st.IsDir()); err != nil {
		return err
	}
	tree, err := unix.OpenTree(int(f.Fd()), "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("clone: %w", err)
	}
	defer unix.Close(tree)
	return unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

func makeTarget(target string, dir bool) error {
	if dir {
		return os.MkdirAll(target, 0o700)
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// openBeneath opens what path names inside dir as a reference for mounting. No "..", no
// absolute link and no mount may lead out of dir.
func openBeneath(dir, path string) (*os.File, error) {
	return openAt2(dir, path, unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	})
}

// openInRoot opens the folder that path names in the root file system at
// root, where links lead as they do for a process whose root it is.
func openInRoot(root, path string) (*os.File, error) {
	return openAt2(root, path, unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
}

func openAt2(dir, path string, how unix.OpenHow) (*os.File, error) {
	root, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for {
		fd, err := unix.Openat2(int(root.Fd()), path, &how)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) { // a rename meanwhile
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return os.NewFile(uintptr(fd), path), nil
	}
}
