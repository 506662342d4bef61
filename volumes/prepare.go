package volumes

import (
	"context"
	"errors"

	"github.com/compose-first/compose/project"
)

// Mount is a plain OCI mount.
type Mount struct {
	Type    string
	Source  string
	Target  string
	Options []string
}

// PrepareConfig is what Prepare is to make ready.
type PrepareConfig struct {
	ContainerID string
	Project     string // labels anonymous volumes
	Mounts      []Want

	// Rootfs mounts the files of the container's image read-only until release
	// is called. It is called at most once, and only when a volume is to be
	// filled from the image.
	Rootfs func(ctx context.Context) (path string, release func() error, err error)

	// Image returns a folder where the files of an image stay mounted
	// read-only as long as the container exists. nil: TypeImage is an error.
	Image func(ctx context.Context, ref string) (path string, err error)
}

// Prepared is a container's mounts, ready.
type Prepared struct {
	Mounts []Mount             // for the runtime, outer first
	Infos  []project.MountInfo // for the container's record, in the same order

	// Propagation is the propagation that the container's root must have for
	// these mounts: "" (the runtime's default), "rslave" or "rshared".
	Propagation string
}

// Prepare makes what is missing of a container's mounts, fills volumes on
// their first use with what the image has there, and returns what to mount.
// For the same ContainerID it may be repeated, with the same result.
func (s *Store) Prepare(ctx context.Context, c PrepareConfig) (Prepared, error) {
	return Prepared{}, errors.New("in progress")
}

// Restore makes sure, before each start of a container, that the sources of
// its recorded mounts are there: volumes with a device are mounted again after
// a reboot. A source that is gone is an error.
func (s *Store) Restore(ctx context.Context, containerID string, mounts []project.MountInfo) error {
	return errors.New("in progress")
}
