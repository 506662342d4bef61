package engine

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Folders that containerd could not delete are in the way of neither the next
// start of their container nor of its removal.
func TestFoldersOfATaskGivenUp(t *testing.T) {
	ctx, cancel := contextOf(t, time.Minute)
	defer cancel()
	c := create(t, []string{"sleep", "1000"})
	dir := shared.taskFolders()
	litter := func() {
		t.Helper()
		for _, name := range []string{c.id, "." + c.id} {
			if err := os.MkdirAll(filepath.Join(dir, name, "rootfs"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name, "log.json"), []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	litter()
	c.start()
	if state := inspect(t, c.id).State; state != StateRunning {
		t.Errorf("the container is %s", state)
	}
	if err := shared.Stop(ctx, c.id, "KILL", 0); err != nil {
		t.Fatal(err)
	}
	litter()
	if err := shared.Remove(ctx, c.id); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{c.id, "." + c.id} {
		if exists(filepath.Join(dir, name)) {
			t.Errorf("folder %s is still there", name)
		}
	}
}
