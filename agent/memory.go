package agent

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
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

// calm is how often the agent looks whether it holds memory it has no use for.
const calm = 20 * time.Second

// worthReturning is how much unused memory the agent does not keep, in bytes.
const worthReturning = 2 << 20

// returnMemory gives unused memory back to the kernel from time to time.
func returnMemory(ctx context.Context) error {
	for {
		if err := pause(ctx, calm); err != nil {
			return err
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapIdle-m.HeapReleased > worthReturning {
			debug.FreeOSMemory()
		}
	}
}

// dropPages gives back what the start of the process needed and its work does not.
func dropPages() { debug.FreeOSMemory() }
