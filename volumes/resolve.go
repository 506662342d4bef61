package volumes

import (
	"errors"

	"github.com/compose-first/compose/project"
)

// Types of a mount.
const (
	TypeVolume = "volume"
	TypeBind   = "bind"
	TypeTmpfs  = "tmpfs"
	TypeImage  = "image"
)

// Want is one mount that a container is to get.
//
// Info is as it will be recorded, but for the Name of a new anonymous volume,
// which Prepare chooses. Info.Options has the words of the short syntax: ro,
// nocopy, a propagation mode, and further subpath=DIR, recursive=MODE and, for
// a tmpfs, its mount options. For TypeImage Info.Source is the image's
// reference.
type Want struct {
	Info       project.MountInfo
	Key        string // where it comes from, "services.web.volumes[0]"
	CreateHost bool   // bind: a missing source is made, as a folder
	Volume     Volume // volume: what to create when it is not there
}

// Resolve returns the mounts of a container of service, outer targets first.
// It looks at nothing but its arguments:
// imageVolumes are the paths that the image declares as volumes; inherit are
// the mounts of the container that this one takes the place of, whose
// anonymous volumes are kept; from has the mounts of the containers that
// volumes_from names, under "SERVICE" or "container:NAME".
// Errors name service and key.
func Resolve(p *project.Project, service string, imageVolumes []string, inherit []project.MountInfo, from map[string][]project.MountInfo) ([]Want, error) {
	return nil, errors.New("in progress")
}

// From returns what Resolve wants to know for the volumes_from of service:
// service names, and "container:NAME" for containers by name.
func From(p *project.Project, service string) []string { return nil }
