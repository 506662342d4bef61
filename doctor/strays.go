package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/process"
)

// stray is a daemon of an engine.
type stray struct {
	process.Process
	rank int // in the order of ending: nobody is to start another again
	name string
}

// strays are the daemons of engines whose folder was removed while they ran,
// and of which no container is left.
func strays() ([]Finding, error) {
	engines, err := engineDaemons()
	if err != nil {
		return nil, err
	}
	var all []Finding
	for _, run := range slices.Sorted(maps.Keys(engines)) {
		daemons := engines[run]
		if !removed(run, daemons) {
			continue
		}
		slices.SortFunc(daemons, func(a, b stray) int { return a.rank - b.rank })
		var names []string
		for _, d := range daemons {
			names = append(names, fmt.Sprintf("%s %d", d.name, d.PID))
		}
		all = append(all, Finding{
			Status: Warning, Found: "processes " + strings.Join(names, ", ") + " of an engine whose folder " + run + " was removed",
			Means: "they serve nobody", Do: removable, fix: func(ctx context.Context) error { return endStrays(ctx, daemons) },
		})
	}
	return all, nil
}

// removed tells whether an engine has lost its folder and has no containers: its
// containerd's configuration is gone, and no shim is there.
func removed(run string, daemons []stray) bool {
	if _, err := os.Stat(filepath.Join(run, "containerd.toml")); !errors.Is(err, os.ErrNotExist) {
		return false
	}
	has := func(name string) bool {
		return slices.ContainsFunc(daemons, func(d stray) bool { return d.name == name })
	}
	return has("containerd") && !has("shim")
}

// engineDaemons are those of all engines of this mount namespace, by run folder.
func engineDaemons() (map[string][]stray, error) {
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return nil, err
	}
	engines := map[string][]stray{}
	for _, dir := range processes { // one that ends meanwhile is none
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		p, ok := process.Of(pid) // before all else: what follows may be of the next with that pid
		if !ok {
			continue
		}
		if mounts, err := os.Readlink(filepath.Join(dir, "ns", "mnt")); err != nil || mounts != own {
			continue
		}
		words, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		environment, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if run, d, ok := daemonOf(split(words), split(environment)); ok && p.Alive() {
			d.Process = p
			engines[run] = append(engines[run], d)
		}
	}
	return engines, nil
}

// daemonOf tells which daemon a process is, and of which run folder.
func daemonOf(words, environment []string) (run string, d stray, ok bool) {
	if len(words) > 2 && words[1] == "agent" && (words[2] == "logger" || words[2] == "run") {
		d = stray{name: "logger"}
		if words[2] == "run" {
			d = stray{name: "agent", rank: 1}
		}
		for _, kv := range environment {
			if dir, found := strings.CutPrefix(kv, layout.RootVariable+"="); found {
				return layout.Below(dir).Run, d, true
			}
		}
		return layout.Default().Run, d, true
	}
	for i := 1; i < len(words); i++ {
		name := filepath.Base(words[i])
		switch {
		case words[i-1] == "--config" && strings.HasPrefix(name, "buildkitd") && strings.HasSuffix(name, ".toml"):
			return filepath.Dir(words[i]), stray{name: "buildkitd", rank: 2}, true
		case words[i-1] == "--config" && name == "containerd.toml":
			return filepath.Dir(words[i]), stray{name: "containerd", rank: 3}, true
		case words[i-1] == "-address" && name == "containerd.sock":
			return filepath.Dir(words[i]), stray{name: "shim"}, true
		}
	}
	return "", stray{}, false
}

// endStrays ends daemons, one after the other.
func endStrays(ctx context.Context, daemons []stray) error {
	for _, d := range daemons {
		if err := d.End(ctx, endLimit); err != nil {
			return fmt.Errorf("end %s: %w", d.name, err)
		}
	}
	return nil
}
