package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// removeCgroups removes what is left of a cgroup in every hierarchy: version 2
// has one, version 1 one a controller. The kernel keeps a cgroup that still
// holds a process, and so does this.
func removeCgroups(cgroup string) error {
	const mounted = "/sys/fs/cgroup"
	trees, err := filepath.Glob(filepath.Join(mounted, "*", cgroup))
	if err != nil {
		return err
	}
	for _, tree := range append(trees, filepath.Join(mounted, cgroup)) {
		if err := removeCgroupTree(tree); err != nil {
			return fmt.Errorf("remove cgroup: %w", err)
		}
	}
	return nil
}

// removeCgroupTree removes the folders of a cgroup, innermost first. The files
// in them are the kernel's and go with them.
func removeCgroupTree(tree string) error {
	var dirs []string
	err := filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if entry.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) {
		err := os.Remove(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return nil
}
