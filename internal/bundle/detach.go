package bundle

import (
	"fmt"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/thread"
)

// daemonUmask is what daemons run with, whatever the shell of their starter
// has: a folder of an image made under 077 could be entered by root alone.
const daemonUmask = 0o022

// startDetached starts cmd in a session of its own, so that no terminal's
// signals reach it, and with daemonUmask.
func startDetached(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var err error
	thread.Apart(func() {
		// The umask belongs to all threads of a process, until one of them takes
		// a copy for itself.
		if err = unix.Unshare(unix.CLONE_FS); err != nil {
			err = fmt.Errorf("unshare: %w", err)
			return
		}
		unix.Umask(daemonUmask)
		err = cmd.Start()
	})
	return err
}
