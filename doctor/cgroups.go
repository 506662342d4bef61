package doctor

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/cgroup"
)

// controllers are those that services may ask for, and what for.
var controllers = []struct{ v2, v1, key string }{
	{"cpu", "cpu", "cpus, cpu_shares"},
	{"cpuset", "cpuset", "cpuset"},
	{"memory", "memory", "mem_limit"},
	{"pids", "pids", "pids_limit"},
	{"io", "blkio", "blkio_config"},
}

// cgroups looks at the version, and at which limits can be set.
func cgroups(context.Context, Config) []Finding {
	var fs unix.Statfs_t
	if err := unix.Statfs(cgroup.Root, &fs); err != nil {
		return []Finding{{Status: Problem, Found: "there is no " + cgroup.Root, Means: "no container can be started", Do: "mount the control groups: `mount -t cgroup2 none " + cgroup.Root + "`"}}
	}
	v2 := fs.Type == unix.CGROUP2_SUPER_MAGIC
	version := Finding{Status: OK, Found: "cgroup version 2 is in use", Means: "limits are set for whole containers"}
	if !v2 {
		version = Finding{Status: Note, Found: "cgroup version 1 is in use", Means: "containers run, with a hierarchy a controller; limits of io and swap are coarser"}
	}
	return append([]Finding{version}, limits(availableControllers(v2))...)
}

// availableControllers are those that a container's group can have.
func availableControllers(v2 bool) []string {
	if v2 {
		text, err := os.ReadFile(filepath.Join(cgroup.Root, "cgroup.controllers"))
		if err != nil {
			return nil
		}
		return strings.Fields(string(text))
	}
	var found []string
	for _, c := range controllers {
		if _, err := os.Stat(filepath.Join(cgroup.Root, c.v1, "cgroup.procs")); err == nil {
			found = append(found, c.v2)
		}
	}
	if _, err := os.Stat(filepath.Join(cgroup.Root, "devices", "devices.list")); err == nil {
		found = append(found, "devices")
	}
	return found
}

func limits(available []string) []Finding {
	var missing []Finding
	for _, c := range controllers {
		if !slices.Contains(available, c.v2) {
			missing = append(missing, Finding{Status: Warning, Found: "the cgroup controller " + c.v2 + " is missing", Means: "limits are not kept: " + c.key,
				Do: "enable it on the kernel's command line (cgroup_enable=" + c.v1 + "), or mount it"})
		}
	}
	if len(missing) > 0 {
		return missing
	}
	return []Finding{{Status: OK, Found: "all cgroup controllers are there", Means: "every limit of a service can be kept"}}
}
