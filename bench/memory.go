package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// daemons are the programs that stay while containers run.
var daemons = []string{"containerd", "containerd-shim-runc-v2", "compose"}

// restingMemory is the proportional set size, in KiB, of each daemon of the
// engine under root, by program name.
// Source: Linux, Documentation/filesystems/proc.rst, smaps_rollup.
func restingMemory(root string) (map[string]int, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	sum := map[string]int{}
	for _, dir := range dirs {
		name := daemonOf(dir, root)
		if name == "" {
			continue
		}
		kib, err := pss(dir)
		if err != nil {
			continue // it ended meanwhile
		}
		sum[name] += kib
	}
	if len(sum) == 0 {
		return nil, fmt.Errorf("no daemon of %s runs", root)
	}
	return sum, nil
}

// daemonOf names the daemon that the process under dir is, "" where it is
// none or belongs to another engine.
func daemonOf(dir, root string) string {
	exe, err := os.Readlink(filepath.Join(dir, "exe"))
	if err != nil {
		return ""
	}
	name := filepath.Base(exe)
	for _, d := range daemons {
		if name == d && (mentions(dir, "cmdline", root) || mentions(dir, "environ", root)) {
			return name
		}
	}
	return ""
}

func mentions(dir, file, root string) bool {
	b, err := os.ReadFile(filepath.Join(dir, file))
	return err == nil && bytes.Contains(b, []byte(root))
}

func pss(dir string) (int, error) {
	b, err := os.ReadFile(filepath.Join(dir, "smaps_rollup"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			return strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
		}
	}
	return 0, fmt.Errorf("no Pss in %s", dir)
}
