package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/cgroup"
	"github.com/compose-first/compose/internal/layout"
)

// thing is something that is there for one container.
type thing struct {
	kind string // "network namespace"
	name string // its path, mostly
}

// byID are things by the id of their container.
type byID map[string][]thing

func (b byID) sorted() []string { return slices.Sorted(maps.Keys(b)) }

// places lists what is there under the ids of containers, whether or not there
// are such containers.
func places(root layout.Root) (byID, error) {
	found := byID{}
	for _, p := range []struct {
		kind string
		at   func(id string) string
	}{
		{"network namespace", root.Netns},
		{"pipes", root.Streams},
		{"secrets and configs", root.Files},
		{"kept secrets and configs", root.KeptFiles},
		{"mounts of volumes' folders", root.Subpaths},
		{"shared memory", root.SharedMemory},
		{"health log", root.HealthLog},
		{"log and files", root.Container},
	} {
		entries, err := os.ReadDir(filepath.Dir(p.at("id")))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if id, _, _ := strings.Cut(e.Name(), "."); engine.IsID(id) {
				found[id] = append(found[id], thing{p.kind, p.at(id)})
			}
		}
	}
	for _, group := range engineGroups()[root.Tag()] {
		entries, err := os.ReadDir(group)
		if err != nil {
			continue // it went meanwhile
		}
		for _, e := range entries {
			if e.IsDir() && engine.IsID(e.Name()) {
				found[e.Name()] = append(found[e.Name()], thing{"cgroup", filepath.Join(group, e.Name())})
			}
		}
	}
	return found, nil
}

// groupName is how the control groups of engines are called.
var groupName = regexp.MustCompile(`^compose(?:-([0-9a-f]{8}))?$`)

// engineGroups are the control groups of all engines, by tag: one a hierarchy.
func engineGroups() map[string][]string {
	groups := map[string][]string{}
	found, _ := cgroup.Find("compose*") // the pattern is well formed
	for _, path := range found {
		if m := groupName.FindStringSubmatch(filepath.Base(path)); m != nil {
			groups[m[1]] = append(groups[m[1]], path)
		}
	}
	return groups
}

// endLimit is how long processes may take to end that were killed.
const endLimit = 10 * time.Second

// killGroup ends the processes of a container that containerd does not have.
func killGroup(ctx context.Context, root layout.Root, id string) error {
	for deadline := time.Now().Add(endLimit); ; {
		pids := groupProcesses(root, id)
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not end", pids)
		}
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("end process %d: %w", pid, err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond): // the kernel empties the group as they die
		}
	}
}

// groupProcesses are the processes in a container's control groups.
func groupProcesses(root layout.Root, id string) []int {
	var pids []int
	for _, group := range engineGroups()[root.Tag()] {
		pids = append(pids, cgroup.Processes(filepath.Join(group, id))...)
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

// removeGroups removes a container's control groups.
func removeGroups(root layout.Root, id string) error {
	for _, group := range engineGroups()[root.Tag()] {
		if err := cgroup.Remove(filepath.Join(group, id)); err != nil {
			return err
		}
	}
	return nil
}
