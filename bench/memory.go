package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rest is how long daemons have nothing to do before their memory is taken.
// Shims give back what they have no use for every 30 seconds, the agent every 5.
// Source: containerd, pkg/shim, setRuntime.
const rest = 35 * time.Second

// restingMemory is the proportional set size, in KiB, of each of some programs
// of the engine under root, by program name, when they have come to rest.
// Source: Linux, Documentation/filesystems/proc.rst, smaps_rollup.
func restingMemory(ctx context.Context, root string, programs ...string) (map[string]int, error) {
	select {
	case <-time.After(rest):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	sum := map[string]int{}
	for _, dir := range dirs {
		name := programOf(dir, root)
		if !slices.Contains(programs, name) {
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

// programOf names the program that the process under dir runs, "" where it
// belongs to no engine under root.
func programOf(dir, root string) string {
	exe, err := os.Readlink(filepath.Join(dir, "exe"))
	if err != nil || !mentions(dir, "cmdline", root) && !mentions(dir, "environ", root) {
		return ""
	}
	return filepath.Base(exe)
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
