package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/compose-first/compose/internal/enginetest"
)

// What a daemon may have more than after the round from which on it is to stay
// flat.
const (
	steadyFrom = 3  // rounds
	growth     = 20 // one part in so many, 5 %
)

// watchedDaemons are those that stay while containers come and go.
var watchedDaemons = []string{"agent", "logger", "containerd"}

// Coming and going leaves no trace in those who stay.
func TestSoak(t *testing.T) {
	n := times(50, 200)
	f := begin(t, shared, fmt.Sprintf("soak: %d containers up and down", n), fmt.Sprintf(`
services:
  many: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL, scale: %d}
`, n))
	first := map[string]enginetest.Usage{}
	memory := map[string][]int{} // KiB after each round from steadyFrom on
	for round := 1; round <= times(2, 20); round++ {
		f.try(func() {
			f.must("up", "-d")
			f.nothingLeft("down", "-v")
			for _, daemon := range watchedDaemons {
				switch {
				case round == steadyFrom:
					first[daemon] = f.usage(daemon)
				case round > steadyFrom:
					f.until(patience, fmt.Sprintf("%s has no more than %+v", daemon, first[daemon]), func() bool {
						return flat(f.usage(daemon), first[daemon])
					})
				}
				if round >= steadyFrom {
					memory[daemon] = append(memory[daemon], f.usage(daemon).Memory)
				}
			}
			t.Log(f.usages())
		})
	}
	f.row.Note = f.usages()
	for _, daemon := range watchedDaemons {
		f.steady(daemon, memory[daemon])
	}
}

// flat reports whether a daemon has hardly more open than it had.
func flat(now, then enginetest.Usage) bool {
	return within(now.Descriptors, then.Descriptors) && within(now.Goroutines, then.Goroutines)
}

func within(now, then int) bool { return now <= then+then/growth }

// steady compares a daemon's memory in the later rounds with that in the
// earlier. After a single round it is a matter of where the garbage collector
// is just then, and goes up and down by a tenth: hence the medians of halves.
func (f *fault) steady(daemon string, kib []int) {
	f.Helper()
	if len(kib) < 4 {
		return
	}
	then, now := median(kib[:len(kib)/2]), median(kib[len(kib)/2:])
	f.row.Note += fmt.Sprintf("; %s %d KiB in the first half, %d in the second", daemon, then, now)
	if !within(now, then) {
		f.Errorf("%s grows: %d KiB after each round", daemon, kib)
	}
}

func median(all []int) int {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

func (f *fault) usages() string {
	f.Helper()
	var notes []string
	for _, daemon := range watchedDaemons {
		u := f.usage(daemon)
		notes = append(notes, fmt.Sprintf("%s %d descriptors, %d goroutines, %d KiB", daemon, u.Descriptors, u.Goroutines, u.Memory))
	}
	return strings.Join(notes, "; ")
}

func (f *fault) usage(daemon string) enginetest.Usage {
	f.Helper()
	u, err := f.Usage(f.ctx, daemon)
	if err != nil {
		f.Fatal(err)
	}
	return u
}
