// Package cgroup finds and removes control groups, in every hierarchy: version
// 2 has one, version 1 one a controller.
package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is where every distribution mounts the control groups.
const Root = "/sys/fs/cgroup"

// Find lists the groups whose paths in a hierarchy match a pattern of
// filepath.Match: "/compose*".
func Find(pattern string) ([]string, error) {
	named, err := filepath.Glob(filepath.Join(Root, "*", pattern))
	if err != nil {
		return nil, err
	}
	top, err := filepath.Glob(filepath.Join(Root, pattern))
	return append(named, top...), err
}

// Processes are those in a group and in all below it.
func Processes(top string) []int {
	var pids []int
	_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "cgroup.procs" {
			return nil // what went meanwhile has no processes
		}
		text, _ := os.ReadFile(path)
		for word := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// Remove removes a group with all below it, innermost first; the files in them
// are the kernel's and go with them. Those that still hold a process stay, and
// the error is then unix.EBUSY.
func Remove(top string) error {
	var dirs []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	var busy error
	for _, dir := range slices.Backward(dirs) {
		err := os.Remove(dir)
		if errors.Is(err, unix.EBUSY) {
			busy = err
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return busy
}
