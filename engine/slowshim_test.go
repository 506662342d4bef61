package engine

import (
	"syscall"
	"testing"
	"time"

	"github.com/compose-first/compose/internal/process"
)

// A shim that answers late, as on a busy machine, is waited for: its container
// runs all the time, and is not shown as ended.
func TestSlowShim(t *testing.T) {
	const slow = 3 * time.Second // containerd by itself would have given up after 2
	c := create(t, []string{"sleep", "1000"})
	c.start()
	shim := process.Parent(int(inspect(t, c.id).PID))
	if err := syscall.Kill(shim, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	goOn := time.AfterFunc(slow, func() { _ = syscall.Kill(shim, syscall.SIGCONT) })
	defer func() {
		goOn.Stop()
		_ = syscall.Kill(shim, syscall.SIGCONT)
	}()
	all, err := shared.Observe(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	for _, seen := range all {
		if seen.ID == c.id && seen.State != StateRunning {
			t.Errorf("the container is shown as %s", seen.State)
		}
	}
	if len(all) == 0 {
		t.Error("the container is not shown")
	}
}
