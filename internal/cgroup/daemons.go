package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// daemons is the group of an engine's daemons, beside those of its containers.
const daemons = "daemons"

// StartDaemon starts a process that outlives the one that starts it: in a
// session of its own, and where cgroup v2 is mounted in the group of daemons
// below top, an engine's ("/compose"). In the group of its starter it would end
// with that: systemd kills what a service, or a login session, leaves behind.
// Where no group can be made it stays there.
func StartDaemon(cmd *exec.Cmd, top string) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if dir, err := daemonGroup(top); err == nil {
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	return cmd.Start()
}

// daemonGroup opens the group of daemons, made where it is missing.
func daemonGroup(top string) (*os.File, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(Root, &fs); err != nil {
		return nil, fmt.Errorf("look at %s: %w", Root, err)
	}
	if fs.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil, fmt.Errorf("%s is not of cgroup v2", Root)
	}
	dir := filepath.Join(Root, top, daemons)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return os.Open(dir)
}
