package project

import (
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// minMemory is the least memory limit a container starts with.
// Source: Docker Engine, minimum memory limit.
const minMemory = 6 << 20

// Bounds of cpu_period and cpu_quota in microseconds.
// Source: Linux, kernel/sched/core.c, min_cfs_quota_period and max_cfs_quota_period.
const (
	minCPUPeriod = 1000
	maxCPUPeriod = 1000000
)

func (l *loading) checkLimits(s types.ServiceConfig) error {
	var limits types.Resource
	if s.Deploy != nil && s.Deploy.Resources.Limits != nil {
		limits = *s.Deploy.Resources.Limits
	}
	memory := s.MemLimit
	if memory == 0 {
		memory = limits.MemoryBytes
	}
	distinct := func(key, below string) error {
		return l.failAs(fmt.Sprintf("services.%s: can't set distinct values on '%s' and 'deploy.resources.limits.%s': %v", s.Name, key, below, errInvalid), s.Name, key)
	}
	switch {
	case s.CPUS < 0:
		return l.fail(s.Name, "cpus", "must not be negative")
	case s.CPUS != 0 && limits.NanoCPUs != 0 && limits.NanoCPUs.Value() != s.CPUS:
		return distinct("cpus", "cpus")
	case s.CPUS != 0 && (s.CPUPeriod != 0 || s.CPUQuota != 0):
		return l.fail(s.Name, "cpus", "cannot be used together with cpu_period or cpu_quota")
	case s.MemLimit != 0 && s.MemLimit < minMemory:
		return l.fail(s.Name, "mem_limit", "%d bytes are less than the minimum of 6 MiB", s.MemLimit)
	case s.MemLimit != 0 && limits.MemoryBytes != 0 && limits.MemoryBytes != s.MemLimit:
		return distinct("mem_limit", "memory")
	case s.MemLimit != 0 && s.MemReservation > s.MemLimit:
		return l.fail(s.Name, "mem_reservation", "must not be above mem_limit")
	case s.PidsLimit < -1:
		return l.fail(s.Name, "pids_limit", "must be -1 (no limit) or more")
	case s.PidsLimit != 0 && limits.Pids != 0 && limits.Pids != s.PidsLimit:
		return distinct("pids_limit", "pids")
	case s.CPUPeriod != 0 && (s.CPUPeriod < minCPUPeriod || s.CPUPeriod > maxCPUPeriod):
		return l.fail(s.Name, "cpu_period", "%d is not within %d to %d microseconds", s.CPUPeriod, minCPUPeriod, maxCPUPeriod)
	case s.CPUQuota != 0 && s.CPUQuota != -1 && s.CPUQuota < minCPUPeriod:
		return l.fail(s.Name, "cpu_quota", "%d is neither -1 (no limit) nor at least %d microseconds", s.CPUQuota, minCPUPeriod)
	case s.CPURTPeriod != 0 && s.CPURTRuntime > s.CPURTPeriod:
		return l.fail(s.Name, "cpu_rt_runtime", "must not be above cpu_rt_period")
	case s.MemSwapLimit > 0 && memory == 0:
		return l.fail(s.Name, "memswap_limit", "needs mem_limit, which it includes")
	case s.MemSwapLimit > 0 && s.MemSwapLimit < memory:
		return l.fail(s.Name, "memswap_limit", "must not be below mem_limit, which it includes")
	case s.MemSwappiness < 0 || s.MemSwappiness > 100:
		return l.fail(s.Name, "mem_swappiness", "%d is not within 0 to 100", s.MemSwappiness)
	case s.OomScoreAdj < -1000 || s.OomScoreAdj > 1000:
		return l.fail(s.Name, "oom_score_adj", "%d is not within -1000 to 1000", s.OomScoreAdj)
	case s.CPUShares < 0:
		return l.fail(s.Name, "cpu_shares", "must not be negative")
	}
	if err := l.checkBlockIO(s); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Ulimits)) {
		key := "ulimits." + name
		u := s.Ulimits[name]
		switch {
		case !slices.Contains(ulimitNames, name):
			return l.fail(s.Name, key, "unknown limit %q", name)
		case u != nil && u.Hard != -1 && (u.Soft > u.Hard || u.Soft == -1 && u.Hard != -1 && u.Single == 0 && u.Hard != 0):
			return l.fail(s.Name, key, "soft limit %d is above hard limit %d", u.Soft, u.Hard)
		}
	}
	return nil
}

// checkBlockIO checks the weights of block I/O; 0 is none.
func (l *loading) checkBlockIO(s types.ServiceConfig) error {
	if s.BlkioConfig == nil {
		return nil
	}
	good := func(weight uint16) bool { return weight == 0 || weight >= 10 && weight <= 1000 }
	if w := s.BlkioConfig.Weight; !good(w) {
		return l.fail(s.Name, "blkio_config.weight", "%d is not within 10 to 1000", w)
	}
	for i, d := range s.BlkioConfig.WeightDevice {
		if !good(d.Weight) {
			return l.fail(s.Name, fmt.Sprintf("blkio_config.weight_device[%d]", i), "%d is not within 10 to 1000", d.Weight)
		}
	}
	return nil
}

// ulimitNames are the limits of getrlimit(2), without RLIMIT_.
var ulimitNames = []string{
	"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice",
	"nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
}
