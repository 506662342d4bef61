// Package proctable lists the processes of this host, as ps -ef shows them,
// by the control group that they are in.
package proctable

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clockTicks is the unit of times in /proc/PID/stat, a second's part.
// Source: Linux, include/uapi: USER_HZ is 100 on every architecture.
const clockTicks = 100

// Headers are those of Process.Columns.
// Source: procps, ps -ef.
var Headers = []string{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"}

// Process is a process at one moment.
type Process struct {
	PID     int
	UID     string // name, or number where it has none
	PPID    int
	CPU     int // percent of its life
	Started time.Time
	TTY     string
	Time    time.Duration // of processor
	Command string

	groups string
}

// Table is the processes of one moment, by PID.
type Table []Process

// Read lists the processes. One that ends meanwhile is left out.
func Read() (Table, error) {
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	boot, err := bootTime()
	if err != nil {
		return nil, err
	}
	var t Table
	for _, dir := range entries {
		if p, err := read(dir, boot, time.Now()); err == nil {
			t = append(t, p)
		}
	}
	slices.SortFunc(t, func(x, y Process) int { return x.PID - y.PID })
	return t, nil
}

// In are the processes of the control group whose path has the part name.
func (t Table) In(name string) []Process {
	var in []Process
	for _, p := range t {
		if strings.Contains(p.groups, "/"+name+"\n") || strings.Contains(p.groups, "/"+name+"/") {
			in = append(in, p)
		}
	}
	return in
}

// Columns are the process as text, under Headers.
func (p Process) Columns() []string {
	started := p.Started.Format("15:04")
	if time.Since(p.Started) > 24*time.Hour {
		started = p.Started.Format("Jan02")
	}
	s := int(p.Time.Seconds())
	return []string{
		p.UID, strconv.Itoa(p.PID), strconv.Itoa(p.PPID), strconv.Itoa(p.CPU), started, p.TTY,
		fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60), p.Command,
	}
}

// bootTime is when the clock of /proc/PID/stat began.
func bootTime() (time.Time, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}, err
	}
	_, rest, _ := strings.Cut(string(b), "\nbtime ")
	text, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read boot time: %w", err)
	}
	return time.Unix(n, 0), nil
}

func read(dir string, boot, now time.Time) (Process, error) {
	groups, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil {
		return Process{}, err
	}
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return Process{}, err
	}
	p, err := parseStat(string(stat), boot, now)
	if err != nil {
		return Process{}, err
	}
	p.groups = string(groups)
	p.UID = owner(dir)
	if line, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil && len(line) > 0 {
		line = bytes.ReplaceAll(bytes.TrimRight(line, "\x00"), []byte{0}, []byte{' '})
		p.Command = strings.Map(printable, string(line))
	}
	return p, nil
}

// printable keeps a command line on its line and off the terminal's controls.
func printable(r rune) rune {
	if !strconv.IsPrint(r) {
		return '?'
	}
	return r
}

// parseStat reads /proc/PID/stat.
// Source: proc(5): the name, field 2, may hold anything, brackets too.
func parseStat(stat string, boot, now time.Time) (Process, error) {
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return Process{}, fmt.Errorf("garbled stat %q", stat)
	}
	fields := strings.Fields(stat[end+1:]) // from field 3, state, on
	if len(fields) < 20 {
		return Process{}, fmt.Errorf("garbled stat %q", stat)
	}
	number := func(field int) int64 { n, _ := strconv.ParseInt(fields[field-3], 10, 64); return n }
	pid, err := strconv.Atoi(strings.TrimSpace(stat[:open]))
	if err != nil {
		return Process{}, err
	}
	ticks := func(n int64) time.Duration { return time.Duration(n) * time.Second / clockTicks }
	p := Process{
		PID: pid, PPID: int(number(4)), TTY: ttyName(number(7)),
		Time: ticks(number(14) + number(15)), Started: boot.Add(ticks(number(22))),
		Command: "[" + strings.Map(printable, stat[open+1:end]) + "]",
	}
	if life := now.Sub(p.Started); life > 0 {
		p.CPU = min(int(p.Time*100/life), 99)
	}
	return p, nil
}

// ttyName names a terminal by its device number.
// Source: Linux, Documentation/admin-guide/devices.txt: 136 to 143 are Unix98
// pseudo-terminals, 4 is tty and ttyS.
func ttyName(device int64) string {
	major, minor := device>>8&0xfff, device&0xff|device>>12&0xfff00
	switch {
	case major >= 136 && major <= 143:
		return "pts/" + strconv.FormatInt((major-136)<<8+minor, 10)
	case major == 4:
		return "tty" + strconv.FormatInt(minor, 10)
	}
	return "?"
}

func owner(dir string) string {
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return "?"
	}
	_, rest, _ := strings.Cut(string(status), "\nUid:\t")
	uid, _, _ := strings.Cut(rest, "\t")
	if u, err := user.LookupId(uid); err == nil {
		return u.Username
	}
	return uid
}
