package scheduler

import (
	"net/netip"
	"time"

	"github.com/compose-first/compose/project"
)

// Live is what is there now, from one look at the machine. Planning reads it
// and never changes it.
type Live struct {
	Project    string // project name
	Containers []Container
	Networks   map[string]Network // by full name; those of other projects too, for external ones
	Volumes    map[string]Volume  // by full name; those of other projects too

	// Images has the digest that a service's image name stands for now, by
	// service. A service without an entry is not compared.
	Images map[string]string
	// NetworkHashes and VolumeHashes have the hash of what the file says now,
	// by key. A key without an entry is not compared.
	NetworkHashes map[string]string
	VolumeHashes  map[string]string
}

// States of a container.
const (
	StateCreated    = "created"
	StateRunning    = "running"
	StatePaused     = "paused"
	StateRestarting = "restarting"
	StateExited     = "exited"
	StateDead       = "dead"
	StateRemoving   = "removing"
)

// HealthHealthy is the health of a container whose check succeeds.
const HealthHealthy = "healthy"

// Container is one container of the project, one-offs included.
type Container struct {
	ID       string
	Name     string // full name, "shop-web-1"
	Service  string
	Number   int // 0 for a one-off
	OneOff   bool
	State    string // one of the State constants
	Health   string // "starting", "healthy", "unhealthy"; "" without a check
	ExitCode int
	Created  time.Time
	Replaces string // ID of the container it was made to replace, or ""

	ConfigHash  string
	ImageDigest string
	Image       string // reference as the file had it

	Networks  []project.Attachment
	Mounts    []project.MountInfo
	Shares    []string // IDs of the containers whose network, pid or ipc namespace it uses
	DependsOn []project.Dependency
}

// Network is a network's record, as far as planning needs it.
type Network struct {
	Name       string // full name
	Project    string // "" when no project made it
	ConfigHash string
	Subnets    []netip.Prefix // masked
	Displaced  bool           // it is not in the kernel, and cannot be: somebody else has its subnet
}

// Volume is a volume's record, as far as planning needs it.
type Volume struct {
	Name       string // full name
	Project    string // "" when no project made it
	ConfigHash string
	Anonymous  bool
}

// Image is an image that is present.
type Image struct {
	Digest string
	Pulled time.Time // of the last pull; zero when it was built or loaded
}

// running says whether a container has a process, or is about to get one from
// its restart policy.
func (c *Container) running() bool {
	switch c.State {
	case StateRunning, StatePaused, StateRestarting:
		return true
	}
	return false
}

func (c *Container) ref() Ref {
	return Ref{Name: c.Name, ID: c.ID, Service: c.Service, Number: c.Number}
}
