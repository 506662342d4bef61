package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/selinux/go-selinux"
)

// Programs with another type than that of container engines are named.
func TestMislabelled(t *testing.T) {
	dir := t.TempDir()
	at := func(names ...string) []string {
		for i, name := range names {
			names[i] = filepath.Join(dir, name)
		}
		return names
	}
	for name, label := range map[string]string{
		"containerd":              "system_u:object_r:container_runtime_exec_t:s0",
		"containerd-shim-runc-v2": "unconfined_u:object_r:container_runtime_exec_t:s0",
		"runc":                    "system_u:object_r:bin_t:s0",
		"buildkitd":               "nonsense",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := selinux.SetFileLabel(path, label); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "bare"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	got := mislabelled(at("containerd", "containerd-shim-runc-v2", "runc", "buildkitd", "bare", "none"))
	if want := at("runc", "buildkitd", "bare"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
