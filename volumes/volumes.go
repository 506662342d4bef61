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
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	proj "github.com/compose-first/compose/project"
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
	fault := func(what string, err error) (Volume, error) {
		return Volume{}, fmt.Errorf("volumes.%s.%s: %w", key, what, err)
	}
	name := def.Name
	if name == "" {
		name = project + "_" + key
	}
	if err := CheckName(name); err != nil {
		return fault("name", err)
	}
	if def.External {
		if def.Driver != "" || len(def.DriverOpts) > 0 || len(def.Labels) > 0 {
			return fault("external", errors.New("an external volume has no key besides name"))
		}
		return Volume{Name: name, Key: key, Driver: DriverLocal, External: true}, nil
	}
	if def.Driver != "" && def.Driver != DriverLocal {
		return fault("driver", fmt.Errorf("%q is not supported: the driver is %q", def.Driver, DriverLocal))
	}
	if err := checkOptions(def.DriverOpts); err != nil {
		return fault("driver_opts", err)
	}
	labels := map[string]string{}
	maps.Copy(labels, def.Labels)
	maps.Copy(labels, def.CustomLabels)
	maps.Copy(labels, map[string]string{proj.LabelProject: project, proj.LabelVolume: key, proj.LabelVersion: proj.Version})
	return Volume{
		Name: name, Key: key, Project: project, Driver: DriverLocal,
		Options: maps.Clone(map[string]string(def.DriverOpts)), Labels: labels,
	}, nil
}

// names are those that Docker gives volumes too. None of them has a
// separator or begins with a dot, so each is one folder below the store's.
// Source: github.com/moby/moby, daemon/names/names.go, RestrictedNameChars.
var names = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// maxName is the longest name, in bytes, that a folder can have.
// Source: Linux, NAME_MAX.
const maxName = 255

// CheckName returns an error unless name can be a volume's.
func CheckName(name string) error {
	if !names.MatchString(name) || len(name) > maxName {
		return fmt.Errorf("invalid volume name %q: letters, digits, _, . and - only, the first a letter or digit, at most %d", name, maxName)
	}
	return nil
}

// Options of the driver.
// Source: Docker, "docker volume create", driver specific options.
const (
	optionType   = "type"
	optionWords  = "o"
	optionDevice = "device"
)

// checkOptions checks driver_opts without looking at the host.
func checkOptions(options map[string]string) error {
	for _, k := range slices.Sorted(maps.Keys(options)) {
		if k != optionType && k != optionWords && k != optionDevice {
			return fmt.Errorf("unknown option %q: there are %s, %s and %s", k, optionType, optionWords, optionDevice)
		}
		if strings.ContainsFunc(options[k], isControl) {
			return fmt.Errorf("%s: %q has a control character", k, options[k])
		}
	}
	if len(options) == 0 {
		return nil
	}
	for _, k := range []string{optionType, optionDevice} {
		if options[k] == "" {
			return fmt.Errorf("%s is missing", k)
		}
	}
	if isBind(options[optionWords]) && !filepath.IsAbs(options[optionDevice]) {
		return fmt.Errorf("%s: %q is not an absolute path", optionDevice, options[optionDevice])
	}
	return nil
}

// isBind reports whether mount words ask for a bind mount.
func isBind(words string) bool {
	w := strings.Split(words, ",")
	return slices.Contains(w, "bind") || slices.Contains(w, "rbind")
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }
