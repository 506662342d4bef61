package bundle

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// daemonUmask is what daemons run with, whatever the shell of their starter
// has: a folder of an image made under 077 could be entered by root alone.
const daemonUmask = 0o022

// startDetached starts cmd in a session of its own, so that no terminal's
// signals reach it, and with daemonUmask.
func startDetached(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	started := make(chan error)
	go func() {
		// The umask belongs to all threads of a process, until one of them takes
		// a copy for itself. That thread is never unlocked: it ends with this
		// goroutine, and nothing else ever runs on it.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			started <- fmt.Errorf("unshare: %w", err)
			return
		}
		unix.Umask(daemonUmask)
		started <- cmd.Start()
	}()
	return <-started
}
