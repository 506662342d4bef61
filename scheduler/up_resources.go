package scheduler

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/compose-first/compose/project"
)

// resource is a network or volume of the file, and what is decided for it.
type resource struct {
	key, name string // name is the full one
	subnets   []netip.Prefix
	missing   bool
	changed   bool // and it is replaced
	because   string
	node      int // that creates or replaces it, or none
}

// defaultNetwork is the key of the network of services that name none.
const defaultNetwork = "default"

// ChangedVolumes lists, by full name and sorted, the volumes that an Up with o
// uses and whose definition has changed since they were created. To replace
// them is to lose their data, so it takes the user's word: o.ReplaceVolumes.
func ChangedVolumes(p *project.Project, live Live, o Options) ([]string, error) {
	u, err := newUp(p, live, o)
	if err != nil {
		return nil, err
	}
	if err := u.chooseResources(); err != nil {
		return nil, err
	}
	var changed []string
	for _, key := range slices.Sorted(maps.Keys(u.volumes)) {
		if r := u.volumes[key]; u.volumeChanged(r) {
			changed = append(changed, r.name)
		}
	}
	slices.Sort(changed)
	return slices.Compact(changed), nil
}

// chooseResources decides on the networks and volumes of the selected
// services, or with AllResources on all.
func (u *up) chooseResources() error {
	u.networks = make(map[string]*resource)
	u.volumes = make(map[string]*resource)
	for i := range u.services {
		s := &u.services[i]
		if !s.selected && len(u.g.containers[i]) == 0 || !active(u.p, u.g.names[i]) {
			continue
		}
		s.wants = u.wantsOf(u.g.names[i])
		if !s.selected {
			continue
		}
		for _, key := range s.wants.networks {
			u.use(u.networks, key, u.p.NetworkName)
		}
		for _, key := range s.wants.volumes {
			u.use(u.volumes, key, u.p.VolumeName)
		}
	}
	if u.o.AllResources {
		for key := range u.p.Networks {
			u.use(u.networks, key, u.p.NetworkName)
		}
		for key := range u.p.Volumes {
			u.use(u.volumes, key, u.p.VolumeName)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(u.networks)) {
		if err := u.chooseNetwork(u.networks[key]); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(u.volumes)) {
		if err := u.chooseVolume(u.volumes[key]); err != nil {
			return err
		}
	}
	return nil
}

func (u *up) use(set map[string]*resource, key string, name func(string) string) {
	if _, ok := set[key]; !ok {
		set[key] = &resource{key: key, name: name(key), node: none}
	}
}

func (u *up) chooseNetwork(r *resource) error {
	n, there := u.live.Networks[r.name]
	r.missing, r.subnets = !there, n.Subnets
	switch {
	case bool(u.p.Networks[r.key].External):
		if !there {
			return fmt.Errorf("network %s declared as external, but could not be found", r.name)
		}
	case there && n.Project != u.p.Name:
		u.warn("a network with name %s exists but was not created for project %q. "+
			"Use `external: true` to use an existing network", r.name, u.p.Name)
	case there && differs(n.ConfigHash, u.live.NetworkHashes[r.key]) && !u.o.NoRecreate:
		r.changed, r.because, u.replaces = true, "configuration changed", true
	case there && n.Displaced && !u.o.NoRecreate:
		r.changed, r.because, u.replaces = true, "its subnet was taken", true
	}
	return nil
}

func (u *up) chooseVolume(r *resource) error {
	v, there := u.live.Volumes[r.name]
	r.missing = !there
	switch {
	case bool(u.p.Volumes[r.key].External):
		if !there {
			return fmt.Errorf("external volume %q not found", r.name)
		}
	case there && v.Project != u.p.Name:
		u.warn("volume %q already exists but was not created for project %q. "+
			"Use `external: true` to use an existing volume", r.name, u.p.Name)
	case u.volumeChanged(r):
		if slices.Contains(u.o.ReplaceVolumes, r.name) {
			r.changed, u.replaces = true, true
			break
		}
		u.warn("volume %q exists but doesn't match configuration in compose file: it is kept as it is (up --yes recreates it, and its data is lost)", r.name)
	}
	return nil
}

func (u *up) volumeChanged(r *resource) bool {
	v, there := u.live.Volumes[r.name]
	return there && v.Project == u.p.Name && !bool(u.p.Volumes[r.key].External) &&
		differs(v.ConfigHash, u.live.VolumeHashes[r.key])
}

// differs compares two hashes that are both known.
func differs(a, b string) bool { return a != "" && b != "" && a != b }

func (u *up) warn(format string, args ...any) {
	u.warnings = append(u.warnings, warning(format, args...))
}

// addResources adds the steps for networks and volumes. What a replacement
// comes after is added with the stops.
func (u *up) addResources() {
	for _, key := range slices.Sorted(maps.Keys(u.networks)) {
		switch r := u.networks[key]; {
		case r.missing:
			r.node = u.b.add(CreateNetwork{Key: key, Name: r.name, Because: "new"})
		case r.changed:
			r.node = u.b.add(ReplaceNetwork{Key: key, Name: r.name, Because: r.because})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(u.volumes)) {
		switch r := u.volumes[key]; {
		case r.missing:
			r.node = u.b.add(CreateVolume{Key: key, Name: r.name, Because: "new"})
		case r.changed:
			r.node = u.b.add(ReplaceVolume{Key: key, Name: r.name, Because: "configuration changed"})
		}
	}
}
