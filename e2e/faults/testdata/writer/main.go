// Command writer writes numbered lines at a steady rate, odd ones to standard
// output and even ones to standard error, until the file DIR/stop is there.
// Then it writes to DIR/HOSTNAME how many lines it wrote and the longest time
// that a write has blocked, in nanoseconds.
//
//	writer DIR LINES-A-SECOND
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

func main() {
	dir := os.Args[1]
	rate, _ := strconv.Atoi(os.Args[2]) // 0 would divide by nought, at once and loudly
	start, longest, i := time.Now(), time.Duration(0), 0
	for {
		if ahead := time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(rate))); ahead > time.Millisecond {
			time.Sleep(ahead)
		}
		if i%100 == 0 {
			if _, err := os.Stat(filepath.Join(dir, "stop")); err == nil {
				break
			}
		}
		i++
		stream := os.Stderr
		if i%2 == 1 {
			stream = os.Stdout
		}
		line := strconv.AppendInt([]byte("line "), int64(i), 10)
		before := time.Now()
		if _, err := stream.Write(append(line, '\n')); err != nil {
			os.Exit(1)
		}
		longest = max(longest, time.Since(before))
	}
	name, _ := os.Hostname()
	if err := os.WriteFile(filepath.Join(dir, name), fmt.Appendf(nil, "%d %d", i, longest), 0o644); err != nil {
		os.Exit(1)
	}
}
