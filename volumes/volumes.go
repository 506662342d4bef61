// Package volumes keeps named and anonymous volumes, decides which mounts a
// container gets and makes them ready, and holds the secrets and configs that
// do not come from a file.
//
// A container's way through it:
//
//	wants    := Resolve(project, service, …)      // pure: from the file and the image
//	prepared := store.Prepare(ctx, …wants…)       // at creation: volumes made and filled; what to mount, what to record
//	store.WriteFiles, store.RestoreFiles          // at creation: secrets and configs
//	store.Restore, store.RestoreFiles             // before every start: what a reboot or a host took away is back
//	store.RemoveFiles                             // after the container is gone
//	store.Remove                                  // only when the user asks for it
//
// Check finds, before anything on the machine is changed, what would make
// this fail. Running containers and their images are others' business: they
// arrive here as plain values. Read resolve.go first, then prepare.go.
package volumes

import (
	"errors"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// ErrNotFound means that there is no volume of that name.
var ErrNotFound = errors.New("no such volume")

// Volume is what is recorded of a volume.
type Volume struct {
	Name       string            `json:"name"`
	Key        string            `json:"key,omitempty"`     // in the Compose file; "" for an anonymous one
	Project    string            `json:"project,omitempty"` // "" when made outside any project
	Driver     string            `json:"driver"`            // always DriverLocal
	Options    map[string]string `json:"options,omitempty"` // driver_opts: type, o, device
	Labels     map[string]string `json:"labels,omitempty"`
	Anonymous  bool              `json:"anonymous,omitempty"`
	Created    time.Time         `json:"created"`               // set by Create
	ConfigHash string            `json:"config_hash,omitempty"` // project.VolumeHash, set by the caller

	// External is a volume that must be there already. It is never recorded.
	External bool `json:"-"`
}

// DriverLocal is the one driver: a folder on this host, or what mount(2) can
// put there.
const DriverLocal = "local"

// Define returns the volume that def, under key in the file of project,
// describes, labelled as such. ConfigHash and Created are left empty.
// Errors name the volume and the key at fault.
func Define(project, key string, def types.VolumeConfig) (Volume, error) {
	return Volume{}, errors.New("in progress")
}
