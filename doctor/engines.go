package doctor

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/compose-first/compose/internal/layout"
)

// aliveEngines are the tags, layout.Root.Tag, of all engines of this machine
// that may be alive: a process belongs to them, or something is mounted for
// them. One that was only stopped has neither, and puts back what it needs.
func aliveEngines() (map[string]bool, error) {
	alive := map[string]bool{}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, dir := range processes { // one that ends meanwhile says nothing
		words, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		environment, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if tag, ok := engineOf(split(words), split(environment)); ok {
			alive[tag] = true
		}
	}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, err
	}
	for _, m := range mounts {
		if tag, ok := engineMounted(m.Mountpoint); ok {
			alive[tag] = true
		}
	}
	return alive, nil
}

func split(zeroed []byte) []string {
	return strings.Split(string(bytes.TrimRight(zeroed, "\x00")), "\x00")
}

// engineOf is the tag of the engine that a process belongs to: its environment
// says so, as that of an agent or a command, or its arguments, as those of a
// daemon and of a shim. An agent without the variable is of the default engine.
func engineOf(words, environment []string) (tag string, ok bool) {
	for _, kv := range environment {
		if dir, found := strings.CutPrefix(kv, layout.RootVariable+"="); found && filepath.IsAbs(dir) {
			return layout.Below(dir).Tag(), true
		}
	}
	if run, _, found := daemonOf(words, environment); found {
		return engineRunning(run)
	}
	return "", false
}

// engineMounted is the tag of the engine in whose run folder something is
// mounted: a network namespace, files of a container, a container's root.
func engineMounted(point string) (tag string, ok bool) {
	for dir := point; dir != "/" && dir != "."; dir = filepath.Dir(dir) {
		switch filepath.Base(dir) {
		case "netns", "files", "subpaths", "shm", "images", "containerd":
			if tag, ok := engineRunning(filepath.Dir(dir)); ok {
				return tag, true
			}
		}
	}
	return "", false
}

// engineRunning is the tag of the engine with a run folder; false for what
// cannot be one.
func engineRunning(run string) (tag string, ok bool) {
	if run == layout.Default().Run {
		return "", true
	}
	if filepath.Base(run) == "run" {
		return layout.Below(filepath.Dir(run)).Tag(), true
	}
	return "", false
}
