package engine

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// maxCPUs is more than any kernel is built for.
// Source: Linux, NR_CPUS, at most 8,192.
const maxCPUs = 8192

// parseCPUs reads a list of CPUs, "0-3,8".
// Source of the form: cpuset(7), list format.
func parseCPUs(list string) (map[int]bool, error) {
	cpus := map[int]bool{}
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		first, err := strconv.ParseUint(from, 10, 31)
		last := first
		if err == nil && isRange {
			last, err = strconv.ParseUint(to, 10, 31)
		}
		if err != nil || last < first || last >= maxCPUs {
			return nil, fmt.Errorf("%q is not a list of CPUs, as in 0-3,8", list)
		}
		for n := first; n <= last; n++ {
			cpus[int(n)] = true
		}
	}
	return cpus, nil
}

// onlineCPUs reads what the kernel says in path; nil when it does not.
func onlineCPUs(path string) map[int]bool {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	cpus, err := parseCPUs(strings.TrimSpace(string(b)))
	if err != nil {
		return nil
	}
	return cpus
}

// checkCPUs returns an error when list names a CPU that the host lacks.
func (h hostFacts) checkCPUs(list string) error {
	if list == "" {
		return nil
	}
	cpus, err := parseCPUs(list)
	if err != nil {
		return err
	}
	for n := range maxCPUs {
		if cpus[n] && h.CPUs != nil && !h.CPUs[n] {
			return fmt.Errorf("this host has no CPU %d", n)
		}
	}
	return nil
}
