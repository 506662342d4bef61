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

// memory says how a process that mostly waits deals with its own.
type memory struct {
	percent int   // growth of the heap before a collection
	limit   int64 // bytes from which on collections come more often
}

var (
	loggerMemory = memory{percent: 20, limit: 6 << 20}
	agentMemory  = memory{percent: 40, limit: 24 << 20}
)

func tuneMemory(m memory) {
	debug.SetGCPercent(m.percent)
	debug.SetMemoryLimit(m.limit)
}

// calm is how often a process looks whether it holds memory it has no use for.
const calm = 5 * time.Second

// What is not worth giving back, in bytes: unused heap, and pages of the
// program that are mapped.
const (
	tolerableHeap = 1 << 20
	tolerableCode = 6 << 20
)

// returnMemory gives unused memory back to the kernel from time to time.
func returnMemory(ctx context.Context) error {
	for {
		if err := pause(ctx, calm); err != nil {
			return err
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapIdle-m.HeapReleased > tolerableHeap {
			debug.FreeOSMemory()
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
