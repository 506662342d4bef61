package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-first/compose/project"
)

// Values of DownOptions.Images.
const (
	ImagesLocal = "local" // built for the project, under a name that the file does not give
	ImagesAll   = "all"
)

// Down plans the removal of what Up made: containers, dependents first, then
// networks, and as asked volumes and images. p is nil where only the project's
// name is known: services, their order, networks and volumes then come from
// what is there.
func Down(p *project.Project, live Live, o DownOptions) (Plan, []Warning, error) {
	if o.Images != "" && o.Images != ImagesLocal && o.Images != ImagesAll {
		return Plan{}, nil, fmt.Errorf("invalid value for --rmi: %q", o.Images)
	}
	s, err := choose(p, live, o.Services)
	if err != nil {
		return Plan{}, nil, err
	}
	d := &down{selection: s, live: live, o: o}
	if w, none := d.notRunning(); none {
		return Plan{}, []Warning{w}, nil
	}
	lists := d.lists()
	stopped := s.stopAll(&d.b, lists, o.Timeout, "down", isRunning)
	d.removed = removeAll(&d.b, lists, stopped, RemoveContainer{Volumes: o.Volumes, Because: "down"}, isAny)
	d.removeNetworks()
	d.removeVolumes()
	d.removeImages()
	d.warnOfNothing()
	plan, err := d.b.plan()
	return plan, d.warnings, err
}

type down struct {
	*selection
	live     Live
	o        DownOptions
	b        builder
	removed  map[*Container]int
	warnings []Warning
}

// notRunning is the sentence for services named without a file of which none
// has a container.
func (d *down) notRunning() (w Warning, none bool) {
	if d.p != nil || len(d.o.Services) == 0 || slices.Contains(d.in, true) {
		return Warning{}, false
	}
	w = warning("Any of the services [%s] not running in project %q", strings.Join(d.o.Services, " "), d.live.Project)
	w.Info = true
	return w, true
}

// lists are the containers to remove, as a list a service.
func (d *down) lists() [][]*Container {
	lists := make([][]*Container, len(d.g.names))
	for k := range d.live.Containers {
		c := &d.live.Containers[k]
		if i := d.g.index[c.Service]; d.takes(c, i) {
			lists[i] = append(lists[i], c)
		}
	}
	return lists
}

func (d *down) takes(c *Container, service int) bool {
	switch {
	case d.in[service]:
		return !c.OneOff || d.o.RemoveOrphans
	case !d.o.RemoveOrphans || d.p == nil:
		return false
	}
	return orphan(d.p, c)
}

// after are the nodes that remove the containers that uses says yes to.
func (d *down) after(uses func(*Container) bool) []int {
	var nodes []int
	for c, node := range d.removed {
		if uses(c) {
			nodes = append(nodes, node)
		}
	}
	return nodes // add puts them in order
}

// stays says whether a container of an inactive service is left that uses
// says yes to.
func (d *down) stays(uses func(*Container) bool) bool {
	if d.p == nil {
		return false
	}
	for k := range d.live.Containers {
		c := &d.live.Containers[k]
		if _, disabled := d.p.DisabledServices[c.Service]; disabled && uses(c) {
			return true
		}
	}
	return false
}

func (d *down) removeNetworks() {
	external := make(map[string]bool)
	if d.p != nil {
		for key, n := range d.p.Networks {
			external[d.p.NetworkName(key)] = bool(n.External)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.live.Networks)) {
		if d.live.Networks[name].Project != d.live.Project || external[name] || !d.usesNetwork(name) {
			continue
		}
		on := func(c *Container) bool { return c.on(name) }
		if !d.stays(on) {
			d.b.add(RemoveNetwork{Name: name, Because: "down"}, d.after(on))
		}
	}
}

// usesNetwork says whether a network goes with the selected services: with all
// of them any does.
func (d *down) usesNetwork(name string) bool {
	if len(d.o.Services) == 0 {
		return true
	}
	for c := range d.removed {
		if c.on(name) {
			return true
		}
	}
	return d.uses(func(w *wants) bool {
		return slices.ContainsFunc(w.networks, func(key string) bool { return d.p.NetworkName(key) == name })
	})
}

// uses says whether the file has a selected service that the test says yes to.
func (d *down) uses(test func(*wants) bool) bool {
	if d.p == nil {
		return false
	}
	u := up{p: d.p}
	for _, i := range d.indexes() {
		if w := u.wantsOf(d.g.names[i]); test(&w) {
			return true
		}
	}
	return false
}

func (c *Container) on(network string) bool {
	return slices.ContainsFunc(c.Networks, func(a project.Attachment) bool { return a.Network == network })
}

func (d *down) removeVolumes() {
	if !d.o.Volumes {
		return
	}
	for _, name := range d.volumeNames() {
		mounted := func(c *Container) bool { return mounts(c, name) }
		if d.stays(mounted) {
			continue
		}
		if d.live.Volumes[name].Project != d.live.Project {
			d.warnings = append(d.warnings, warning(
				"volume %q was not created for project %q: it is kept", name, d.live.Project))
			continue
		}
		d.b.add(RemoveVolume{Name: name, Because: "down -v"}, d.after(mounted))
	}
	for _, name := range d.forlorn() {
		d.b.add(RemoveVolume{Name: name, Because: "down -v"})
	}
}

// forlorn are the project's anonymous volumes without a container. Those of
// containers go with them; these were of a container that an earlier command
// removed, or never got to make.
func (d *down) forlorn() []string {
	if len(d.o.Services) > 0 {
		return nil
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(d.live.Volumes)) {
		v := d.live.Volumes[name]
		mounted := slices.ContainsFunc(d.live.Containers, func(c Container) bool { return mounts(&c, name) })
		if v.Anonymous && v.Project == d.live.Project && !mounted {
			names = append(names, name)
		}
	}
	return names
}

// volumeNames are the named volumes to remove, of those that are there: the
// ones that the file declares, or without a file all of the project.
func (d *down) volumeNames() []string {
	var names []string
	if d.p == nil {
		for name, v := range d.live.Volumes {
			if v.Project == d.live.Project && !v.Anonymous && (len(d.o.Services) == 0 || d.mountedByRemoved(name)) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	for key, v := range d.p.Volumes {
		name := d.p.VolumeName(key)
		_, there := d.live.Volumes[name]
		used := len(d.o.Services) == 0 || d.uses(func(w *wants) bool { return slices.Contains(w.volumes, key) })
		if there && used && !bool(v.External) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (d *down) mountedByRemoved(volume string) bool {
	for c := range d.removed {
		if mounts(c, volume) {
			return true
		}
	}
	return false
}

func (d *down) removeImages() {
	if d.o.Images == "" {
		return
	}
	users := make(map[string][]int) // removals by image
	for _, i := range d.indexes() {
		image, taken := d.imageOf(i)
		if !taken {
			continue
		}
		users[image] = slices.Clip(users[image])
		for _, c := range d.g.containers[i] {
			if node, ok := d.removed[c]; ok {
				users[image] = append(users[image], node)
			}
		}
	}
	for _, image := range slices.Sorted(maps.Keys(users)) {
		d.b.add(RemoveImage{Image: image, Because: "down --rmi " + d.o.Images}, users[image])
	}
}

// imageOf returns the image of a service, and whether it is to be removed.
func (d *down) imageOf(i int) (string, bool) {
	name := d.g.names[i]
	if active(d.p, name) {
		s := d.p.Services[name]
		if s.Provider != nil {
			return "", false
		}
		return d.p.ImageName(name), d.o.Images == ImagesAll || s.Build != nil && s.Image == ""
	}
	for _, c := range d.g.containers[i] {
		built := c.Image == d.live.Project+"-"+name || c.Image == d.live.Project+"_"+name
		return c.Image, c.Image != "" && (d.o.Images == ImagesAll || built)
	}
	return "", false
}

// warnOfNothing warns where there is nothing of the project and its file
// declares nothing that could be.
func (d *down) warnOfNothing() {
	if len(d.b.nodes) > 0 || len(d.warnings) > 0 || len(d.live.Containers) > 0 {
		return
	}
	if d.p != nil {
		for _, n := range d.p.Networks {
			if !bool(n.External) {
				return
			}
		}
	}
	d.warnings = append(d.warnings, warning(
		"Warning: No resource found to remove for project %q.", d.live.Project))
}
