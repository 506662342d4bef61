package enginetest

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/compose-first/compose/internal/process"
)

// Process is a program that runs for an engine.
type Process struct {
	process.Process
	Args []string
}

func (p Process) String() string {
	return fmt.Sprintf("process %d %s", p.PID, strings.Join(p.Args, " "))
}

// is reports whether the process is the daemon of that name: "containerd",
// "buildkitd", "shim", "logger" or "agent".
func (p Process) is(daemon string) bool {
	program := filepath.Base(p.Args[0])
	switch daemon {
	case "shim":
		return program == "containerd-shim-runc-v2"
	case "logger":
		return len(p.Args) > 2 && p.Args[1] == "agent" && p.Args[2] == "logger"
	case "agent":
		return len(p.Args) > 2 && p.Args[1] == "agent" && p.Args[2] == "run"
	}
	return program == daemon
}

// Processes lists what was started for this engine, its containers' own
// processes not among them.
func (e *Engine) Processes() []Process {
	var all []Process
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		p, runs := process.Of(pid) // before its words: those may be of the next with that pid
		if !runs {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || len(cmdline) == 0 {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if bytes.Contains(cmdline, []byte(e.Root+"/run/")) || bytes.Contains(environ, []byte("COMPOSE_ENGINE_ROOT="+e.Root+"\x00")) {
			all = append(all, Process{Process: p, Args: strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")})
		}
	}
	return all
}

// Daemons lists the processes of one daemon.
func (e *Engine) Daemons(daemon string) []Process {
	var all []Process
	for _, p := range e.Processes() {
		if p.is(daemon) {
			all = append(all, p)
		}
	}
	return all
}

// Kill ends every process of a daemon with SIGKILL, and returns once they are
// gone. That there is none is an error.
func (e *Engine) Kill(ctx context.Context, daemon string) error {
	all := e.Daemons(daemon)
	if len(all) == 0 {
		return fmt.Errorf("no %s runs", daemon)
	}
	for _, p := range all {
		if err := p.Kill(ctx, settle); err != nil {
			return fmt.Errorf("%s: %w", daemon, err)
		}
	}
	return nil
}

// KillProcess ends a process with SIGKILL, and returns once it runs no more.
func KillProcess(ctx context.Context, pid int) error {
	p, runs := process.Of(pid)
	if !runs {
		return nil
	}
	return p.Kill(ctx, settle)
}

// Contained lists the processes in this engine's containers, by their cgroups;
// that of its daemons, where it has one, is none.
// A container's id is the last part of a cgroup's path; "" is all of them.
func (e *Engine) Contained(id string) []int {
	seen := map[int]bool{}
	var pids []int
	for _, top := range e.cgroupPaths() {
		_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && d.Name() == "daemons" {
				return filepath.SkipDir
			}
			if err != nil || d.Name() != "cgroup.procs" || !strings.Contains(path, id) {
				return nil // one that went meanwhile has no processes
			}
			b, _ := os.ReadFile(path)
			for word := range strings.FieldsSeq(string(b)) {
				if pid, err := strconv.Atoi(word); err == nil && pid != 0 && !seen[pid] {
					seen[pid] = true
					pids = append(pids, pid)
				}
			}
			return nil
		})
	}
	return pids
}

// cgroupPaths are the top cgroups of this engine, one in each hierarchy.
func (e *Engine) cgroupPaths() []string {
	var all []string
	for _, pattern := range []string{"/sys/fs/cgroup/*" + e.Tag() + "*", "/sys/fs/cgroup/*/*" + e.Tag() + "*"} {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		all = append(all, found...)
	}
	return all
}

// Args is the command line of a process, its words parted by blanks; "" when
// there is no such process.
func Args(pid int) string {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(strings.TrimSuffix(string(b), "\x00"), "\x00", " ")
}
