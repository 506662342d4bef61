// compose-init is the first process of a container with init: true. It runs
// the command given after "--", forwards signals to it, reaps every process
// that is left to it, and ends as the command ended: with its exit code, or
// 128 and the number of the signal that killed it.
//
// It is built statically and with nothing but system calls, since one runs in
// each such container.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

// Exit codes for a command that cannot be run.
// Source: POSIX, Shell Command Language, 2.8.2 Exit Status for Commands.
const (
	exitUsage         = 2
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignal        = 128 // plus the signal's number
)

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		complain("usage: compose-init -- COMMAND [ARGUMENT...]")
		os.Exit(exitUsage)
	}
	signals, deaths := make(chan os.Signal, 64), make(chan os.Signal, 1)
	signal.Notify(signals)
	signal.Notify(deaths, syscall.SIGCHLD) // apart: one that finds the channel full is told by the one in it
	child, code := start(args)
	if code != 0 {
		os.Exit(code)
	}
	os.Exit(supervise(child, signals, deaths))
}

// start runs the command in a process group of its own, in the foreground of
// the terminal if there is one. code is not 0 when it cannot be run.
func start(args []string) (pid, code int) {
	path, code := find(args[0])
	if code != 0 {
		return 0, code
	}
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if terminal() {
		attributes.Foreground, attributes.Ctty = true, 0
	}
	pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: attributes,
	})
	if err != nil {
		complain(args[0] + ": " + err.Error())
		if err == syscall.ENOENT {
			return 0, exitNotFound
		}
		return 0, exitNotExecutable
	}
	return pid, 0
}

// supervise forwards signals and reaps until the child has ended, and returns
// the code to end with.
func supervise(child int, signals, deaths <-chan os.Signal) int {
	for {
		select {
		case <-deaths:
			if code, ended := reap(child); ended {
				return code
			}
		case s := <-signals:
			switch number := s.(syscall.Signal); number {
			case syscall.SIGCHLD, syscall.SIGURG: // told by deaths; the Go runtime's own
			default:
				_ = syscall.Kill(child, number)
			}
		}
	}
}

// reap takes all processes that have ended, and tells how the child did.
func reap(child int) (code int, ended bool) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return code, ended
		}
		if pid != child {
			continue
		}
		ended = true
		if code = status.ExitStatus(); status.Signaled() {
			code = exitSignal + int(status.Signal())
		}
	}
}

// find returns the path of a program as a shell would look for it.
func find(name string) (path string, code int) {
	code = exitNotFound
	for _, candidate := range candidates(name) {
		info, err := os.Stat(candidate)
		if err != nil || info.IsDir() {
			continue
		}
		if info.Mode()&0o111 != 0 {
			return candidate, 0
		}
		code = exitNotExecutable
	}
	if code == exitNotFound {
		complain(name + ": command not found")
	} else {
		complain(name + ": permission denied")
	}
	return "", code
}

// candidates are the paths that a program's name may stand for.
func candidates(name string) []string {
	for i := range len(name) {
		if name[i] == '/' {
			return []string{name}
		}
	}
	var all []string
	list := os.Getenv("PATH") + ":"
	for from, i := 0, 0; i < len(list); i++ {
		if list[i] == ':' {
			if dir := list[from:i]; dir != "" {
				all = append(all, dir+"/"+name)
			}
			from = i + 1
		}
	}
	return all
}

// terminal tells whether standard input is a terminal.
func terminal() bool {
	info, err := os.Stdin.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	return controls(0)
}

func complain(text string) { _, _ = os.Stderr.WriteString("compose-init: " + text + "\n") }
