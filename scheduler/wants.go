package scheduler

import (
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// wants is what the file says of a service's containers, as far as it takes
// part in deciding on them.
type wants struct {
	replicas   int
	networks   []string // keys, sorted
	volumes    []string // keys of named volumes, sorted
	targets    []string // where the service mounts something of its own
	namespaces []string // services whose network, pid or ipc namespace it uses
	volumesOf  []string // services whose volumes it mounts
}

func (u *up) wantsOf(service string) wants {
	s := u.p.Services[service]
	w := wants{replicas: u.replicas(service, &s)}
	if s.Provider != nil { // another program runs it, there is no container
		return w
	}
	if len(s.Networks) == 0 && s.NetworkMode == "" {
		w.networks = []string{defaultNetwork}
	}
	for key := range s.Networks {
		w.networks = append(w.networks, key)
	}
	slices.Sort(w.networks)
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeVolume && v.Source != "" {
			w.volumes = append(w.volumes, v.Source)
		}
		w.targets = append(w.targets, path.Clean(v.Target))
	}
	slices.Sort(w.volumes)
	w.volumes = slices.Compact(w.volumes)
	for _, mode := range [3]string{s.NetworkMode, s.Ipc, s.Pid} {
		if owner, ok := strings.CutPrefix(mode, types.ServicePrefix); ok {
			w.namespaces = append(w.namespaces, owner)
		}
	}
	for _, from := range s.VolumesFrom {
		if !strings.HasPrefix(from, types.ContainerPrefix) {
			owner, _, _ := strings.Cut(from, ":")
			w.volumesOf = append(w.volumesOf, owner)
		}
	}
	return w
}

func (u *up) replicas(service string, s *types.ServiceConfig) int {
	if s.Provider != nil {
		return 0
	}
	if n, ok := u.o.Scale[service]; ok {
		return n
	}
	return u.p.Replicas(service)
}
