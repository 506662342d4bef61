package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/selinux/go-selinux"

	"github.com/compose-first/compose/engine"
)

// runtimeType is what the policy calls the programs of a container engine: what
// they start may use the pipes and files that they make for containers.
// Source: containers/container-selinux, container.fc.
const runtimeType = "container_runtime_exec_t"

// selinuxFindings say what a host with SELinux still needs; none without it.
func selinuxFindings(c Config) []Finding {
	if !selinux.GetEnabled() {
		return nil
	}
	if known, err := engine.PolicyHasContainers(); err != nil || !known {
		return []Finding{{Status: Warning, Found: "the SELinux policy has no labels for containers", Means: "containers are not confined by it",
			Do: "install container-selinux, or the policy's module for containers, and recreate the containers"}}
	}
	mode := "does not enforce its policy"
	if selinux.EnforceMode() == selinux.Enforcing {
		mode = "enforces its policy"
	}
	all := []Finding{{Status: OK, Found: "SELinux " + mode, Means: "each container has a label of its own"}}
	if wrong := mislabelled(programs(c)); len(wrong) > 0 {
		all = append(all, Finding{Status: Warning,
			Found: "not of SELinux type " + runtimeType + ": " + strings.Join(wrong, ", "),
			Means: "an enforcing host may keep containers from starting, or from their output and files",
			Do:    fmt.Sprintf("run `chcon -t %s %s`, the same with `semanage fcontext` for it to last, and start the engine anew", runtimeType, strings.Join(wrong, " "))})
	}
	return all
}

// programs are those that make containers, or start what does.
func programs(c Config) []string {
	var all []string
	if own, err := os.Executable(); err == nil {
		all = append(all, own)
	}
	if c.Bundle != nil && c.Bundle.Dir != "" {
		for _, name := range []string{"containerd", "containerd-shim-runc-v2", "runc", "buildkitd"} {
			all = append(all, filepath.Join(c.Bundle.Dir, name))
		}
	}
	return all
}

// mislabelled are the programs among paths that have another type. One that is
// not there has none.
func mislabelled(paths []string) []string {
	return slices.DeleteFunc(slices.Clone(paths), func(path string) bool {
		text, err := selinux.FileLabel(path)
		if errors.Is(err, fs.ErrNotExist) {
			return true
		}
		parts, parseErr := selinux.NewContext(text)
		return err == nil && parseErr == nil && parts["type"] == runtimeType
	})
}
