// Package process names running programs for good, waits for their end and
// ends them. A pid alone does not do: the kernel gives it to another program
// once the first is gone.
package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Process is a running program: pid and start time together name one alone.
type Process struct {
	PID   int
	Start uint64 // clock ticks after boot
}

// Of returns the process that now has a pid; false when there is none, or only
// its exit status is left.
func Of(pid int) (Process, bool) {
	s, ok := statOf(pid)
	if !ok || s.ended {
		return Process{}, false
	}
	return Process{PID: pid, Start: s.start}, true
}

// Parent is the process that the one with a pid hangs on; 0 when there is none.
func Parent(pid int) int {
	s, _ := statOf(pid)
	return s.parent
}

// Alive tells whether the same program still runs.
func (p Process) Alive() bool {
	now, ok := Of(p.PID)
	return ok && now == p
}

// stat is what we need of /proc/PID/stat.
type stat struct {
	parent int
	start  uint64
	ended  bool // nobody has asked for its exit status yet
}

// statOf reads it; false when there is no such process.
// Source: proc(5), /proc/pid/stat, fields 3, 4, 20 and 22.
func statOf(pid int) (stat, bool) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return stat{}, false
	}
	// The second field, the name in parentheses, may itself hold blanks and
	// parentheses: fields are counted from behind the last one.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	const state, parent, threads, start = 0, 1, 17, 19
	if len(fields) <= start {
		return stat{}, false
	}
	var s stat
	if s.start, err = strconv.ParseUint(fields[start], 10, 64); err != nil {
		return stat{}, false
	}
	s.parent, _ = strconv.Atoi(fields[parent]) // the kernel writes a number
	// The first thread may end before others do, which still have all that the
	// process has.
	s.ended = fields[state] == "X" || fields[state] == "Z" && fields[threads] == "1"
	return s, true
}
