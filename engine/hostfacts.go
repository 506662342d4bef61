package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/pkg/cap"
	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/apparmor"
	"github.com/compose-first/compose/internal/cgroup"
)

// hostFacts is what a spec has to know of the machine.
type hostFacts struct {
	CgroupV2    bool
	SwapLimits  bool              // the kernel accounts for swap
	RealTime    bool              // cgroups have real-time CPU time
	AppArmor    bool              // enabled, and its tools are there
	Profiles    string            // file that names the profiles of AppArmor
	SELinux     selinuxLabels     // of containers, by its policy
	Caps        []string          // that the engine has and can give, "CAP_CHOWN"
	HardLimits  map[string]uint64 // by "RLIMIT_NOFILE": what can be given without CAP_SYS_RESOURCE
	CPUs        map[int]bool      // those that are there, by number; nil when nobody says
	OpenFiles   uint64            // fs.nr_open: no process may have more descriptors
	Throttles   []string          // where the processors tell how hot they were
	OOMScoreAdj int               // the engine's own: no lower one can be given without CAP_SYS_RESOURCE
}

// mayExceed tells whether processes may get more than the engine itself has.
func (h hostFacts) mayExceed() bool { return slices.Contains(h.Caps, "CAP_SYS_RESOURCE") }

func lookAtHost() (hostFacts, error) {
	caps, err := cap.Current()
	if err != nil {
		return hostFacts{}, fmt.Errorf("read own capabilities: %w", err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(cgroup.Root, &fs); err != nil {
		return hostFacts{}, fmt.Errorf("look at %s: %w", cgroup.Root, err)
	}
	labels, err := hostLabels()
	if err != nil {
		return hostFacts{}, fmt.Errorf("look at SELinux: %w", err)
	}
	h := hostFacts{
		CgroupV2:    fs.Type == unix.CGROUP2_SUPER_MAGIC,
		AppArmor:    apparmor.Enabled(),
		Profiles:    apparmor.List,
		SELinux:     labels,
		Caps:        caps,
		HardLimits:  map[string]uint64{},
		CPUs:        onlineCPUs("/sys/devices/system/cpu/online"),
		OpenFiles:   readNumber("/proc/sys/fs/nr_open"),
		OOMScoreAdj: int(readNumber("/proc/self/oom_score_adj")),
	}
	h.Throttles, _ = filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle")
	if h.CgroupV2 {
		swap, _ := filepath.Glob(cgroup.Root + "/*/memory.swap.max")
		h.SwapLimits = len(swap) > 0
	} else {
		h.SwapLimits = exists(cgroup.Root + "/memory/memory.memsw.limit_in_bytes")
		h.RealTime = exists(cgroup.Root + "/cpu/cpu.rt_runtime_us")
	}
	for name, number := range rlimits {
		var l unix.Rlimit
		if err := unix.Getrlimit(number, &l); err == nil {
			h.HardLimits[name] = l.Max
		}
	}
	return h, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readNumber reads a file that holds one number; 0 when it does not. Negative
// ones wrap, and come back with a conversion to int.
func readNumber(path string) uint64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return uint64(n)
}
