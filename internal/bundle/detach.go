package bundle

import (
	"fmt"
	"os/exec"

	"golang.org/x/sys/unix"

	groups "github.com/compose-first/compose/internal/cgroup"
	"github.com/compose-first/compose/internal/thread"
)

// daemonUmask is what daemons run with, whatever the shell of their starter
// has: a folder of an image made under 077 could be entered by root alone.
const daemonUmask = 0o022

// startDetached starts cmd as a daemon of the engine whose groups are below
// top, with daemonUmask.
func startDetached(cmd *exec.Cmd, top string) error {
	var err error
	thread.Apart(func() {
		// The umask belongs to all threads of a process, until one of them takes
		// a copy for itself.
		if err = unix.Unshare(unix.CLONE_FS); err != nil {
			err = fmt.Errorf("unshare: %w", err)
			return
		}
		unix.Umask(daemonUmask)
		err = groups.StartDaemon(cmd, top)
	})
	return err
}
