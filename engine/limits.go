package engine

import (
	"fmt"
	"sort"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// rlimits are the limits of a process, by their name in an OCI spec.
// Source: getrlimit(2).
var rlimits = map[string]int{
	"RLIMIT_AS":         unix.RLIMIT_AS,
	"RLIMIT_CORE":       unix.RLIMIT_CORE,
	"RLIMIT_CPU":        unix.RLIMIT_CPU,
	"RLIMIT_DATA":       unix.RLIMIT_DATA,
	"RLIMIT_FSIZE":      unix.RLIMIT_FSIZE,
	"RLIMIT_LOCKS":      unix.RLIMIT_LOCKS,
	"RLIMIT_MEMLOCK":    unix.RLIMIT_MEMLOCK,
	"RLIMIT_MSGQUEUE":   unix.RLIMIT_MSGQUEUE,
	"RLIMIT_NICE":       unix.RLIMIT_NICE,
	"RLIMIT_NOFILE":     unix.RLIMIT_NOFILE,
	"RLIMIT_NPROC":      unix.RLIMIT_NPROC,
	"RLIMIT_RSS":        unix.RLIMIT_RSS,
	"RLIMIT_RTPRIO":     unix.RLIMIT_RTPRIO,
	"RLIMIT_RTTIME":     unix.RLIMIT_RTTIME,
	"RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING,
	"RLIMIT_STACK":      unix.RLIMIT_STACK,
}

// limits sets ulimits and the standing with the kernel's OOM killer, as far as
// the engine is allowed to give them.
func (b *specBuilder) limits() error {
	names := make([]string, 0, len(b.Service.Ulimits))
	for name := range b.Service.Ulimits {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		key := "RLIMIT_" + strings.ToUpper(name)
		if _, known := rlimits[key]; !known {
			return fmt.Errorf("ulimits: %q is no limit of Linux", name)
		}
		u := b.Service.Ulimits[name]
		if u == nil {
			continue
		}
		soft, hard := u.Soft, u.Hard
		if u.Single != 0 {
			soft, hard = u.Single, u.Single
		}
		b.spec.Process.Rlimits = append(b.spec.Process.Rlimits, b.clampRlimit(name, specs.POSIXRlimit{
			Type: key, Soft: rlimitValue(soft), Hard: rlimitValue(hard),
		}))
	}
	adj := int(b.Service.OomScoreAdj)
	if floor := b.host.OOMScoreAdj; adj < floor && !b.host.mayExceed() {
		if adj != 0 { // 0 is the default: nothing that was asked for is missing
			b.warn("oom_score_adj: %d is not allowed here, %d is used", adj, floor)
		}
		adj = floor
	}
	b.spec.Process.OOMScoreAdj = &adj
	return nil
}

// rlimitValue turns the -1 of a Compose file into the kernel's "unlimited".
func rlimitValue(n int) uint64 {
	if n < 0 {
		return unix.RLIM_INFINITY
	}
	return uint64(n)
}

// clampRlimit lowers a limit to what the engine may give.
func (b *specBuilder) clampRlimit(name string, l specs.POSIXRlimit) specs.POSIXRlimit {
	most, known := b.host.HardLimits[l.Type]
	if !known || b.host.mayExceed() {
		most = unix.RLIM_INFINITY
	}
	if l.Type == "RLIMIT_NOFILE" && b.host.OpenFiles > 0 {
		most = min(most, b.host.OpenFiles)
	}
	if l.Hard > most || l.Soft > most {
		b.warn("ulimits: %s is limited to %d here", name, most)
		l.Hard, l.Soft = min(l.Hard, most), min(l.Soft, most)
	}
	return l
}
