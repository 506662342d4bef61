package netplan

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/enginetest"
)

// TestMain runs all tests of the package in a network and mount namespace of
// their own: real kernel, real bridges and rules, and a host that notices nothing.
func TestMain(m *testing.M) {
	if enginetest.Fuzzing() {
		os.Exit(m.Run())
	}
	const inside = "NETPLAN_TEST_INSIDE"
	if os.Getenv(inside) == "" {
		os.Exit(reenter(inside))
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func reenter(mark string) int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), mark+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	if err := cmd.Run(); err != nil {
		if cmd.ProcessState != nil {
			return cmd.ProcessState.ExitCode()
		}
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// prepare keeps mounts to this namespace and brings its loopback interface up.
func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	socket, err := openRTNL()
	if err != nil {
		return err
	}
	defer socket.close()
	return socket.one(linkUp(0, "lo"))
}
