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
// page cache when they are needed.
func unmapCode() {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// start-end permissions offset device inode path
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || !strings.HasPrefix(fields[5], "/") || !strings.HasPrefix(fields[1], "r") || fields[1][1] == 'w' {
			continue
		}
		var start, end uintptr
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &start, &end); err != nil {
			continue
		}
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED)
	}
}
