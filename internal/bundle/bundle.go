// Package bundle runs the daemons that compose brings along: containerd, which
// is started on first need and left running, and buildkitd, which only a build
// needs. All that they keep lies under one layout.Root, so that engines with
// different roots live side by side and disturb nothing else on the machine.
//
// The package starts, finds and stops processes and says where they answer. It
// knows nothing of containers: who may stop the engine, and when, is for its
// callers to decide. Read containerd.go first, then daemon.go.
package bundle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-first/compose/internal/layout"
)

// LibexecVariable names the folder of the engine's binaries, before any other
// place is looked at.
const LibexecVariable = "COMPOSE_LIBEXEC"

// ErrNoEngine means that the engine's binaries are nowhere to be found.
var ErrNoEngine = errors.New("no engine binaries found")

// Bundle is one engine: where its state is kept and where its binaries are.
type Bundle struct {
	Root    layout.Root
	Dir     string // folder of containerd, its shim, runc and buildkitd; may be "" when Address is set
	Address string // socket path of a containerd that is already there; "" for our own
}

// Find returns the engine of a root. Its binaries are looked for in the folder
// that LibexecVariable names, else in libexec/compose beside the running binary
// and beside its parent folder, symbolic links followed.
// With an address, a path or unix:// URL, that containerd is used instead of
// our own, and binaries are needed only for builds.
// The error is ErrNoEngine, with the places looked at, when there are none.
func Find(root layout.Root, address string) (*Bundle, error) {
	b := &Bundle{Root: root, Address: strings.TrimPrefix(address, "unix://")}
	places, err := libexecPlaces()
	if err != nil {
		return nil, err
	}
	for _, dir := range places {
		if missing := missingBinaries(dir); len(missing) == 0 {
			b.Dir = dir
			return b, nil
		}
	}
	if b.Address != "" {
		return b, nil
	}
	return nil, noEngine(places)
}

// binaries are the programs without which no container runs.
var binaries = []string{"containerd", "containerd-shim-runc-v2", "runc"}

// libexecPlaces lists the folders that may hold the binaries, best first. A
// folder that was named is the only one: falling back to others would hide a
// wrong name.
func libexecPlaces() ([]string, error) {
	if dir := os.Getenv(LibexecVariable); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", LibexecVariable, err)
		}
		return []string{abs}, nil
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		exe = real
	}
	beside := filepath.Dir(exe)
	return []string{
		filepath.Join(beside, "libexec", "compose"),
		filepath.Join(filepath.Dir(beside), "libexec", "compose"),
	}, nil
}

// missingBinaries returns the names of binaries that dir does not have.
func missingBinaries(dir string) []string {
	var missing []string
	for _, name := range binaries {
		if !executable(filepath.Join(dir, name)) {
			missing = append(missing, name)
		}
	}
	return missing
}

// binary is the path of one of the engine's programs.
func (b *Bundle) binary(name string) string { return filepath.Join(b.Dir, name) }

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func noEngine(places []string) error {
	return fmt.Errorf("%w: looked for %s in %s; run `make` in the source folder, or name a running containerd with --containerd",
		ErrNoEngine, strings.Join(binaries, ", "), strings.Join(places, " and "))
}

// CheckRoot returns an error when the process does not run as root.
func CheckRoot() error {
	if os.Geteuid() == 0 {
		return nil
	}
	return errors.New("compose must run as root: it makes containers, networks and mounts (try sudo)")
}
