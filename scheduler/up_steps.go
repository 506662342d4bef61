package scheduler

import (
	"slices"
	"strings"

	"github.com/compose-first/compose/project"
)

// addCreates adds the making of containers. A container whose namespace or
// volumes another one uses is made before that one.
func (u *up) addCreates() {
	for i := range u.services {
		s := &u.services[i]
		if !s.renewed {
			continue
		}
		after := u.createAfter(i)
		u.b.optional = s.optional
		for k := range s.slots {
			if sl := &s.slots[k]; sl.create {
				sl.created = u.b.add(CreateContainer{Create: u.create(i, sl), Because: sl.because}, after)
				sl.finished = []int{sl.created}
			}
		}
		u.b.optional = false
	}
}

func (u *up) createAfter(i int) []int {
	w := &u.services[i].wants
	after := make([]int, 0, len(w.networks)+len(w.volumes))
	for _, key := range w.networks {
		if r := u.networks[key]; r != nil {
			after = append(after, r.node)
		}
	}
	for _, key := range w.volumes {
		if r := u.volumes[key]; r != nil {
			after = append(after, r.node)
		}
	}
	for _, owners := range [2][]string{w.namespaces, w.volumesOf} {
		for _, owner := range owners {
			if j, ok := u.g.index[owner]; ok {
				for k := range u.services[j].slots {
					after = append(after, u.services[j].slots[k].created)
				}
			}
		}
	}
	return after
}

func (u *up) create(i int, sl *slot) Create {
	name := u.g.names[i]
	sl.name = u.p.ContainerName(name, sl.number)
	c := Create{Service: name, Number: sl.number, Name: sl.name, Owners: u.owners(i)}
	if sl.keep != nil {
		c.Replaces = sl.keep.ID
		if !u.services[i].named || !u.o.RenewAnonVolumes {
			c.Inherit = u.inherit(i, sl.keep)
		}
	}
	return c
}

// owners are the first containers of the services that service i lives on. Their
// slots are sorted by number, and what they create has its name by now.
func (u *up) owners(i int) map[string]Ref {
	w := &u.services[i].wants
	if len(w.namespaces)+len(w.volumesOf) == 0 {
		return nil
	}
	owners := make(map[string]Ref)
	for _, list := range [2][]string{w.namespaces, w.volumesOf} {
		for _, owner := range list {
			if j, ok := u.g.index[owner]; ok && len(u.services[j].slots) > 0 {
				owners[owner] = u.slotRef(j, &u.services[j].slots[0])
			}
		}
	}
	return owners
}

// slotRef is the container that a slot has after the plan.
func (u *up) slotRef(i int, sl *slot) Ref {
	if sl.create {
		return Ref{Name: sl.name, Service: u.g.names[i], Number: sl.number}
	}
	return sl.keep.ref()
}

// inherit lists the anonymous volumes of c that are its own, not those of
// services whose volumes it mounts.
func (u *up) inherit(i int, c *Container) []project.MountInfo {
	return slices.DeleteFunc(anonymous(c), func(m project.MountInfo) bool {
		for _, owner := range u.services[i].wants.volumesOf {
			j, ok := u.g.index[owner]
			if ok && slices.ContainsFunc(u.g.containers[j], func(o *Container) bool { return mounts(o, m.Name) }) {
				return true
			}
		}
		return false
	})
}

// stopRef says which container a planned stop belongs to.
type stopRef struct {
	container *Container
	slot      *slot // nil: none of the slots'
}

// addStops adds all stops, dependents first, and returns the node of each
// container that is stopped.
func (u *up) addStops() map[*Container]int {
	lists := make([][]stopping, len(u.services))
	refs := make([][]stopRef, len(u.services))
	add := func(i int, c *Container, sl *slot, kind StopKind, because string, after int) {
		step := StopContainer{Ref: c.ref(), Timeout: u.o.Timeout, Kind: kind, Because: because}
		lists[i] = append(lists[i], stopping{step: step, after: []int{after}})
		refs[i] = append(refs[i], stopRef{c, sl})
	}
	for i := range u.services {
		u.stopsOf(i, add)
	}
	for _, c := range u.orphans {
		if u.o.RemoveOrphans && c.running() {
			add(u.g.index[c.Service], c, nil, StopForGood, "orphan", none)
		}
	}
	u.stopsOfStrangers(add)
	nodes := planStops(u.g, &u.b, lists)
	stopped := make(map[*Container]int)
	for i, list := range refs {
		for k, ref := range list {
			stopped[ref.container] = nodes[i][k]
			if ref.slot != nil {
				ref.slot.stopped = nodes[i][k]
			}
		}
	}
	u.replaceAfter(stopped)
	return stopped
}

func (u *up) stopsOf(i int, add func(i int, c *Container, sl *slot, kind StopKind, because string, after int)) {
	s := &u.services[i]
	for k := range s.slots {
		sl := &s.slots[k]
		created := sl.created
		if s.early {
			created = none
		}
		switch {
		case sl.create && sl.keep != nil && sl.keep.running():
			add(i, sl.keep, sl, StopReplaced, "replaced", created)
		case sl.bounce:
			add(i, sl.keep, sl, StopRestart, sl.because, none)
		}
		for _, c := range sl.extra {
			if c.running() {
				add(i, c, nil, StopReplaced, leftOver, created)
			}
		}
	}
	for k := range s.gone {
		for _, c := range s.gone[k].all() {
			if c.running() {
				add(i, c, nil, StopForGood, s.gone[k].because, none)
			}
		}
	}
}

// leftOver is why the second container of one number goes.
const leftOver = "left over from an interrupted run"

func (sl *slot) all() []*Container { return append([]*Container{sl.keep}, sl.extra...) }

// stopsOfStrangers adds stops of containers that nothing is decided for, but
// that use a network or volume that is replaced.
func (u *up) stopsOfStrangers(add func(i int, c *Container, sl *slot, kind StopKind, because string, after int)) {
	if !u.replaces {
		return
	}
	for k := range u.live.Containers {
		c := &u.live.Containers[k]
		r := u.onReplaced(c)
		i := u.g.index[c.Service]
		orphan := u.o.RemoveOrphans && slices.Contains(u.orphans, c)
		if r == nil || !c.running() || orphan || !c.OneOff && u.decided(i) {
			continue
		}
		add(i, c, nil, StopForGood, r.name+" is replaced", none)
	}
}

func (u *up) decided(i int) bool {
	return i != u.oneOff && active(u.p, u.g.names[i])
}

// replaceAfter has the replacement of a network or volume come after the stops
// of all that use it.
func (u *up) replaceAfter(stopped map[*Container]int) {
	if !u.replaces {
		return
	}
	for k := range u.live.Containers {
		c := &u.live.Containers[k]
		node, ok := stopped[c]
		if !ok {
			continue
		}
		for _, r := range u.networks {
			if r.changed && slices.ContainsFunc(c.Networks, func(a project.Attachment) bool { return a.Network == r.name }) {
				u.b.after(r.node, node)
			}
		}
		for _, r := range u.volumes {
			if r.changed && mounts(c, r.name) {
				u.b.after(r.node, node)
			}
		}
	}
}

// addRemoves adds the removal of containers, each after its stop.
func (u *up) addRemoves(stopped map[*Container]int) {
	for i := range u.services {
		s := &u.services[i]
		for k := range s.slots {
			u.removeReplaced(&s.slots[k], stopped)
		}
		for k := range s.gone {
			for _, c := range s.gone[k].all() {
				u.remove(RemoveContainer{Ref: c.ref(), Because: s.gone[k].because}, c, stopped)
			}
		}
	}
	if u.o.RemoveOrphans {
		for _, c := range u.orphans {
			node := u.remove(RemoveContainer{Ref: c.ref(), Because: "orphan"}, c, stopped)
			u.cleared = append(u.cleared, node)
		}
	}
}

// removeReplaced removes what a slot's container has taken the place of.
func (u *up) removeReplaced(sl *slot, stopped map[*Container]int) {
	if sl.create && sl.keep != nil {
		step := RemoveContainer{Ref: sl.keep.ref(), Replaced: true, Because: "replaced"}
		sl.finished = append(sl.finished, u.remove(step, sl.keep, stopped, sl.created))
	}
	for _, c := range sl.extra {
		step := RemoveContainer{Ref: c.ref(), Replaced: true, Because: leftOver}
		sl.finished = append(sl.finished, u.remove(step, c, stopped, sl.created))
	}
}

func (u *up) remove(step RemoveContainer, c *Container, stopped map[*Container]int, after ...int) int {
	stop, wasRunning := stopped[c]
	if !wasRunning {
		stop = none
	}
	node := u.b.add(step, []int{stop}, after)
	u.b.nodes[node].Through = wasRunning && step.Replaced
	return node
}

// addStarts adds the starts, and the waiting between them.
func (u *up) addStarts() {
	st := newStarter(u.g, &u.b)
	for i := range u.services {
		s := &u.services[i]
		if len(s.slots) == 0 {
			continue
		}
		st.optional[i] = s.optional
		st.ready[i] = u.o.Wait && s.selected && !u.o.NoStart
		units := make([]unit, len(s.slots))
		for k := range s.slots {
			units[k] = u.unit(i, &s.slots[k])
		}
		st.units[i] = units
	}
	if u.oneOff != none && !u.o.NoStart {
		st.starting[u.oneOff] = true
	}
	if !u.o.NoStart {
		st.plan()
	}
}

func (u *up) unit(i int, sl *slot) unit {
	n := unit{ref: u.slotRef(i, sl), live: sl.keep, start: sl.start, because: sl.because, again: sl.bounce, before: sl.finished}
	n.before = append(n.before, u.cleared...) // an orphan may hold the same port
	n.through = sl.stopped != none || slices.ContainsFunc(sl.extra, (*Container).running)
	switch {
	case sl.create:
		n.live = nil
		if sl.keep != nil {
			n.because = "replaced"
		}
	case sl.bounce:
		n.before = append(n.before, sl.stopped)
	}
	return n
}

// unchanged are the containers that run as they should.
func (u *up) unchanged() []Ref {
	if u.o.NoStart {
		return nil
	}
	var refs []Ref
	for i := range u.services {
		s := &u.services[i]
		for k := range s.slots {
			if sl := &s.slots[k]; s.selected && !sl.create && !sl.start {
				refs = append(refs, sl.keep.ref())
			}
		}
	}
	return refs
}

// chooseOrphans lists the containers of services that the file does not have,
// and one-offs that have ended, and warns of them when they stay.
func (u *up) chooseOrphans() {
	var names []string
	for k := range u.live.Containers {
		if c := &u.live.Containers[k]; orphan(u.p, c) {
			u.orphans = append(u.orphans, c)
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 || u.o.RemoveOrphans || u.o.IgnoreOrphans {
		return
	}
	slices.Sort(names)
	u.warn("Found orphan containers (%s) for this project. "+
		"If you removed or renamed this service in your compose file, "+
		"you can run this command with the --remove-orphans flag to clean it up.", strings.Join(names, ", "))
}

func orphan(p *project.Project, c *Container) bool {
	if c.OneOff {
		return c.State == StateExited || c.State == StateDead
	}
	_, disabled := p.DisabledServices[c.Service]
	return !active(p, c.Service) && !disabled
}
