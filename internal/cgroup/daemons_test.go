package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStartDaemon shows that a daemon has left its starter's session and, on
// cgroup v2, its group.
func TestStartDaemon(t *testing.T) {
	top := fmt.Sprintf("/compose-cgrouptest-%d", os.Getpid())
	t.Cleanup(func() {
		if err := Remove(filepath.Join(Root, top)); err != nil {
			t.Error(err)
		}
	})
	cmd := exec.Command("sleep", "infinity")
	if err := StartDaemon(cmd, top); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if sid, err := unix.Getsid(cmd.Process.Pid); sid != cmd.Process.Pid || err != nil {
		t.Errorf("it is in session %d, not its own %d: %v", sid, cmd.Process.Pid, err)
	}
	want := groupsOf(t, os.Getpid())
	if _, err := os.Stat(filepath.Join(Root, "cgroup.procs")); err == nil { // version 2
		want = "0::" + top + "/daemons\n"
	}
	if got := groupsOf(t, cmd.Process.Pid); got != want {
		t.Errorf("it is in %q, want %q", got, want)
	}
}

func groupsOf(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
