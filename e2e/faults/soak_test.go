package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What a daemon may have more at the end than after the round from which on
// it is to stay flat.
const (
	steadyFrom = 3  // rounds
	growth     = 20 // one part in so many, 5 %
)

// Coming and going leaves no trace in those who stay.
func TestSoak(t *testing.T) {
	f := begin(t, shared, "soak", fmt.Sprintf(`
services:
  many: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL, scale: %d}
`, times(10, 200)))
	daemons := []string{"agent", "logger", "containerd"}
	first := map[string]int{}
	for round := 1; round <= times(4, 20); round++ {
		f.try(func() {
			f.must("up", "-d")
			f.nothingLeft("down", "-v")
			for _, daemon := range daemons {
				if round == steadyFrom {
					first[daemon] = f.descriptors(daemon)
				}
				if round > steadyFrom {
					limit := first[daemon] + first[daemon]/growth
					f.until(10*time.Second, fmt.Sprintf("%s is back to %d descriptors", daemon, limit), func() bool { return f.descriptors(daemon) <= limit })
				}
			}
		})
	}
	var notes []string
	for _, daemon := range daemons {
		notes = append(notes, fmt.Sprintf("%s %d descriptors, %d KiB", daemon, f.descriptors(daemon), f.memory(daemon)))
	}
	f.row.Note = strings.Join(notes, "; ")
}

// descriptors is how many files a daemon has open.
func (f *fault) descriptors(daemon string) int {
	f.Helper()
	open, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(f.pid(daemon)), "fd", "*"))
	if err != nil || len(open) == 0 {
		f.Fatalf("look at %s: %v", daemon, err)
	}
	return len(open)
}

// memory is what a daemon has of it for itself, in KiB.
func (f *fault) memory(daemon string) int {
	f.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(f.pid(daemon)), "smaps_rollup"))
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "Private_Dirty:" {
			n, _ := strconv.Atoi(fields[1]) // the kernel writes a number
			return n
		}
	}
	f.Fatalf("%s has no memory", daemon)
	return 0
}

func (f *fault) pid(daemon string) int {
	f.Helper()
	all := f.Daemons(daemon)
	if len(all) != 1 {
		f.Fatalf("%s: %d processes", daemon, len(all))
	}
	return all[0].PID
}
