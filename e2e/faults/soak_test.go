package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/compose-first/compose/internal/enginetest"
)

// What a daemon may have more than after the round from which on it is to stay
// flat.
const (
	steadyFrom = 3  // rounds
	growth     = 20 // one part in so many, 5 %
)

// restfulness is how long daemons have nothing to do before their memory is
// compared. Right after a round it is a matter of where the garbage collector
// is just then, and goes up and down by a tenth.
// Source: Go's runtime, forcegcperiod: it collects at the latest after two
// minutes, and gives back what that has found in the time after.
const restfulness = 3 * time.Minute

// watchedDaemons are those that stay while containers come and go.
var watchedDaemons = []string{"agent", "logger", "containerd"}

// Coming and going leaves no trace in those who stay.
func TestSoak(t *testing.T) {
	n, rounds := times(50, 200), times(2, 20)
	f := begin(t, shared, fmt.Sprintf("soak: %d containers up and down", n), fmt.Sprintf(`
services:
  many: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL, scale: %d}
`, n))
	first := map[string]enginetest.Usage{} // at rest after round steadyFrom
	for round := 1; round <= rounds; round++ {
		f.try(func() {
			f.must("up", "-d")
			f.nothingLeft("down", "-v")
			switch {
			case round == steadyFrom:
				f.rest()
				for _, daemon := range watchedDaemons {
					first[daemon] = f.usage(daemon)
				}
			case round > steadyFrom:
				f.nothingMoreOpen(first)
			}
			t.Log(f.usages())
		})
	}
	if rounds > steadyFrom {
		f.rest()
		f.noGrowth(first)
	}
	f.row.Note += f.usages()
}

// rest lets the daemons come to rest.
func (f *fault) rest() {
	f.Helper()
	select {
	case <-time.After(restfulness):
	case <-f.ctx.Done():
		f.Fatal(f.ctx.Err())
	}
}

// nothingMoreOpen waits until no daemon has more files and goroutines than it had.
func (f *fault) nothingMoreOpen(first map[string]enginetest.Usage) {
	f.Helper()
	for _, daemon := range watchedDaemons {
		then := first[daemon]
		f.until(patience, fmt.Sprintf("%s has no more than %+v", daemon, then), func() bool {
			now := f.usage(daemon)
			return within(now.Descriptors, then.Descriptors) && within(now.Goroutines, then.Goroutines)
		})
	}
}

// noGrowth compares the memory of daemons at rest with what it was.
func (f *fault) noGrowth(first map[string]enginetest.Usage) {
	f.Helper()
	for _, daemon := range watchedDaemons {
		now, then := f.usage(daemon).Memory, first[daemon].Memory
		f.row.Note += fmt.Sprintf("%s at rest from %d to %d KiB; ", daemon, then, now)
		if !within(now, then) {
			f.Errorf("%s grew from %d to %d KiB", daemon, then, now)
		}
	}
}

func within(now, then int) bool { return now <= then+then/growth }

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
