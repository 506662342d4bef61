// Command prober resolves a name again and again until the file DIR/stop is
// there. After each answer it writes to DIR/prober how many answers it has had
// and the longest time from one answer to the next, in nanoseconds.
//
//	prober DIR NAME
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pace is how often it asks, and limit how long it waits for an answer.
const (
	pace  = 10 * time.Millisecond
	limit = 100 * time.Millisecond
)

func main() {
	dir, name := os.Args[1], os.Args[2]
	last, longest, answers := time.Time{}, time.Duration(0), 0
	for range time.Tick(pace) {
		if _, err := os.Stat(filepath.Join(dir, "stop")); err == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		_, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", name)
		cancel()
		if err != nil {
			continue
		}
		answers++
		if !last.IsZero() {
			longest = max(longest, time.Since(last))
		}
		last = time.Now()
		report(filepath.Join(dir, "prober"), answers, longest)
	}
}

// report replaces a file at once, so that no reader sees half of it.
func report(path string, answers int, longest time.Duration) {
	if err := os.WriteFile(path+".new", fmt.Appendf(nil, "%d %d", answers, longest), 0o644); err != nil {
		os.Exit(1)
	}
	if err := os.Rename(path+".new", path); err != nil {
		os.Exit(1)
	}
}
