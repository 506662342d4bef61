package bundle

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	groups "github.com/compose-first/compose/internal/cgroup"
)

// removeCgroups removes what is left of a cgroup in every hierarchy. The kernel
// keeps a cgroup that still holds a process, and so does this.
func removeCgroups(cgroup string) error {
	trees, err := groups.Find(cgroup)
	if err != nil {
		return err
	}
	for _, tree := range trees {
		if err := groups.Remove(tree); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("remove cgroup: %w", err)
		}
	}
	return nil
}
