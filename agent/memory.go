package agent

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// heapGrowth is how much the heap may grow before it is collected, in percent:
// as little as Go's default allows without collections in the midst of a
// command's work. What a burst leaves is given back when it is over.
const heapGrowth = 100

// agentLimit is the memory, in bytes, from which on the agent collects more often.
const agentLimit = 32 << 20

// calm is how often a process looks whether it holds memory it has no use for.
const calm = 5 * time.Second

// What is not worth giving back, in bytes: allocations since the last time, and
// pages of the program that are mapped.
const (
	tolerableHeap = 256 << 10
	tolerableCode = 3 << 20
)

// returnMemory gives unused memory back to the kernel from time to time.
func returnMemory(ctx context.Context) error {
	var m runtime.MemStats
	for before := uint64(0); ; {
		if err := pause(ctx, calm); err != nil {
			return err
		}
		runtime.ReadMemStats(&m)
		if m.TotalAlloc-before > tolerableHeap {
			debug.FreeOSMemory()
			before = m.TotalAlloc
		}
		if mappedCode() > tolerableCode {
			unmapCode()
		}
	}
}

// mappedCode is how much of files this process has mapped and touched, in bytes.
// Source: proc(5), /proc/pid/statm, third field.
func mappedCode() int {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident, shared int
	if _, err := fmt.Sscan(string(b), &size, &resident, &shared); err != nil {
		return 0
	}
	return shared * os.Getpagesize()
}

// unmapCode lets go of the program's own read-only pages. The start of a large
// program touches most of them and waiting needs few; those come back from the
// page cache when they are needed. Mappings with pages that are not those of
// the file any more (a dynamic linker's relocations) stay.
func unmapCode() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	var start, end uintptr // of the mapping that the lines are about; 0: not one of ours
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && strings.Contains(fields[0], "-"): // start-end permissions offset device inode path
			start, end = 0, 0
			if len(fields) == 6 && fields[5] == self && strings.HasPrefix(fields[1], "r-") {
				_, _ = fmt.Sscanf(fields[0], "%x-%x", &start, &end)
			}
		case len(fields) == 3 && fields[0] == "Anonymous:" && fields[1] == "0" && start != 0:
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED)
		}
	}
}
