// Command writer writes numbered lines at a steady rate, odd ones to standard
// output and even ones to standard error, and at the end the longest time that
// a write has blocked, in nanoseconds, to the file that it is given.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	lines, _ := strconv.Atoi(os.Args[1])
	rate, _ := strconv.Atoi(os.Args[2]) // lines a second
	start, longest := time.Now(), time.Duration(0)
	for i := 1; i <= lines; i++ {
		if ahead := time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(rate))); ahead > time.Millisecond {
			time.Sleep(ahead)
		}
		stream := os.Stderr
		if i%2 == 1 {
			stream = os.Stdout
		}
		before := time.Now()
		fmt.Fprintf(stream, "line %d\n", i)
		longest = max(longest, time.Since(before))
	}
	if err := os.WriteFile(os.Args[3], []byte(strconv.FormatInt(int64(longest), 10)), 0o644); err != nil {
		os.Exit(1)
	}
}
