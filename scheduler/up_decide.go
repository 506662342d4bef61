package scheduler

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/compose-first/compose/project"
)

// slot is one numbered place of a service, and what happens to it.
type slot struct {
	number  int
	keep    *Container   // that is there, and stays or is replaced; nil: none is
	extra   []*Container // others of the same number, left over from an earlier run
	create  bool         // a container is made: with keep, in its place
	because string       // of create, of the start, or of the removal
	start   bool
	bounce  bool // keep is stopped, to be started again

	name     string // full, with create
	created  int    // nodes: that makes the container, or none
	stopped  int    // that stops keep, or none
	finished []int  // that come before a start
}

// decide fills in the slots of service i. Those of its dependencies are.
func (u *up) decide(i int) error {
	s := &u.services[i]
	switch {
	case i == u.oneOff || !active(u.p, u.g.names[i]):
	case s.selected:
		u.fill(i)
	case len(u.g.containers[i]) > 0:
		u.follow(i)
	}
	u.bounce(i)
	u.markEarly(i)
	for k := range s.slots {
		c := s.slots[k].keep
		if s.selected && !u.o.NoStart && c != nil && c.State == StatePaused {
			return fmt.Errorf("container %s is paused: unpause it first", c.Name)
		}
		s.renewed = s.renewed || s.slots[k].create
		s.replaced = s.replaced || s.slots[k].create && c != nil
	}
	return nil
}

// fill makes the slots of a selected service: as many as it wants.
func (u *up) fill(i int) {
	s := &u.services[i]
	slots, outdated := u.present(i)
	highest := 0
	for _, sl := range slots {
		highest = max(highest, sl.number)
	}
	grown := len(slots) > 0
	for len(slots) > s.wants.replicas {
		k := dispensable(slots, outdated)
		sl := slots[k]
		sl.because = fmt.Sprintf("scaled to %d", s.wants.replicas)
		s.gone = append(s.gone, sl)
		slots = slices.Delete(slots, k, k+1)
		outdated = slices.Delete(outdated, k, k+1)
	}
	for k := range slots {
		u.refresh(i, &slots[k], outdated[k])
	}
	for len(slots) < s.wants.replicas {
		highest++
		sl := slot{number: highest, create: true, start: !u.o.NoStart, because: "new", created: none, stopped: none}
		if grown {
			sl.because = fmt.Sprintf("scaled to %d", s.wants.replicas)
		}
		slots = append(slots, sl)
	}
	s.slots = slots
}

// present lists a slot for each number that service i has, in their order,
// and why each is not as the file says, or "".
func (u *up) present(i int) ([]slot, []string) {
	live := u.g.containers[i]
	if len(live) == 0 {
		return make([]slot, 0, u.services[i].wants.replicas), nil
	}
	live = slices.Clone(live)
	slices.SortStableFunc(live, func(a, b *Container) int { return a.Number - b.Number })
	slots := make([]slot, 0, max(len(live), u.services[i].wants.replicas))
	outdated := make([]string, 0, len(live))
	for _, c := range live {
		why := u.outdated(i, c)
		if last := len(slots) - 1; last < 0 || slots[last].number != c.Number {
			slots = append(slots, slot{number: c.Number, keep: c, created: none, stopped: none})
			outdated = append(outdated, why)
			continue
		}
		sl := &slots[len(slots)-1]
		if better(c, why, sl.keep, outdated[len(slots)-1]) {
			sl.extra = append(sl.extra, sl.keep)
			sl.keep, outdated[len(slots)-1] = c, why
		} else {
			sl.extra = append(sl.extra, c)
		}
	}
	return slots, outdated
}

// better says whether a, rather than b, stays of two containers with one
// number, which an interrupted run has left: the one that is as the file says,
// then the younger.
func better(a *Container, whyA string, b *Container, whyB string) bool {
	switch {
	case (whyA == "") != (whyB == ""):
		return whyA == ""
	case a.Replaces == b.ID:
		return true
	case b.Replaces == a.ID:
		return false
	case !a.Created.Equal(b.Created):
		return a.Created.After(b.Created)
	}
	return a.ID > b.ID
}

// dispensable is the slot to remove first: the highest outdated one, else the
// highest.
func dispensable(slots []slot, outdated []string) int {
	for k := len(slots) - 1; k >= 0; k-- {
		if outdated[k] != "" {
			return k
		}
	}
	return len(slots) - 1
}

// refresh decides on a container that stays in its place: it is replaced,
// started, or left as it is.
func (u *up) refresh(i int, sl *slot, outdated string) {
	if why := u.replace(i, sl.keep, outdated); why != "" {
		sl.create, sl.because, sl.start = true, why, !u.o.NoStart
		return
	}
	if !sl.keep.running() && !u.o.NoStart {
		sl.start, sl.because = true, idle(sl.keep)
	}
}

// replace says why a container is replaced, or "".
func (u *up) replace(i int, c *Container, outdated string) string {
	s := &u.services[i]
	switch {
	case c.State == StateDead || c.State == StateRemoving:
		return c.State
	case u.o.NoRecreate:
		return ""
	case outdated != "":
		return outdated
	case s.named && u.o.ForceRecreate, !s.named && u.o.AlwaysRecreateDeps:
		return "forced"
	case s.named && u.o.RenewAnonVolumes && len(anonymous(c)) > 0:
		return "new anonymous volumes"
	}
	return ""
}

func idle(c *Container) string {
	if c.State == StateExited {
		return fmt.Sprintf("exited (%d)", c.ExitCode)
	}
	return c.State
}

// outdated says why a container is not as the file says, or "".
func (u *up) outdated(i int, c *Container) string {
	switch {
	case c.ConfigHash != u.p.Hashes[u.g.names[i]]:
		return "configuration changed"
	case differs(c.ImageDigest, u.live.Images[u.g.names[i]]):
		return "image changed"
	}
	return u.detached(i, c)
}

// detached says why a container does not hang on the networks, volumes and
// other containers that it should, or "".
func (u *up) detached(i int, c *Container) string {
	w := &u.services[i].wants
	for _, key := range w.networks {
		if why := offNetwork(c, u.networks[key]); why != "" {
			return why
		}
	}
	for _, key := range w.volumes {
		if why := offVolume(c, u.volumes[key]); why != "" {
			return why
		}
	}
	for _, owner := range w.namespaces {
		if why := u.strayed(owner, func(o *Container) bool { return slices.Contains(c.Shares, o.ID) }); why != "" {
			return why
		}
	}
	for _, owner := range w.volumesOf {
		if why := u.strayed(owner, func(o *Container) bool { return mountsAll(c, o, w.targets) }); why != "" {
			return why
		}
	}
	return ""
}

// offNetwork says why c is not on the network r, which may be nil for one that
// is not looked at.
func offNetwork(c *Container, r *resource) string {
	if r == nil {
		return ""
	}
	k := slices.IndexFunc(c.Networks, func(a project.Attachment) bool { return a.Network == r.name })
	switch {
	case r.missing:
		return fmt.Sprintf("network %s was missing", r.name)
	case r.changed:
		return fmt.Sprintf("network %s changed", r.name)
	case k < 0:
		return fmt.Sprintf("not on network %s", r.name)
	case !inSubnets(c.Networks[k].Address, r.subnets), !inSubnets(c.Networks[k].Address6, r.subnets):
		return fmt.Sprintf("network %s was replaced", r.name)
	}
	return ""
}

// inSubnets says whether an address, as wide as its subnet, is of one of
// subnets. One that is not set is, as is any where no subnet is known.
func inSubnets(address netip.Prefix, subnets []netip.Prefix) bool {
	return !address.IsValid() || len(subnets) == 0 || slices.Contains(subnets, address.Masked())
}

func offVolume(c *Container, r *resource) string {
	switch {
	case r == nil:
		return ""
	case r.missing:
		return fmt.Sprintf("volume %s was missing", r.name)
	case r.changed:
		return fmt.Sprintf("volume %s changed", r.name)
	case !mounts(c, r.name):
		return fmt.Sprintf("volume %s is not mounted", r.name)
	}
	return ""
}

// strayed says why a container that lives on one of owner's does not any more:
// that one is replaced, or was.
func (u *up) strayed(owner string, lives func(*Container) bool) string {
	i, ok := u.g.index[owner]
	if !ok || len(u.services[i].slots) == 0 {
		return ""
	}
	for _, sl := range u.services[i].slots {
		if sl.create && sl.keep == nil {
			continue // a further one
		}
		if sl.create {
			return owner + " is replaced"
		}
		if lives(sl.keep) {
			return ""
		}
	}
	return owner + " was replaced"
}

// mountsAll says whether c mounts all volumes of owner, but for those where it
// has something of its own.
func mountsAll(c, owner *Container, own []string) bool {
	for _, m := range owner.Mounts {
		if m.Type == mountVolume && !slices.Contains(own, m.Target) && !mounts(c, m.Name) {
			return false
		}
	}
	return true
}

// mountVolume is the type of a volume's mount.
const mountVolume = "volume"

func mounts(c *Container, volume string) bool {
	return slices.ContainsFunc(c.Mounts, func(m project.MountInfo) bool {
		return m.Type == mountVolume && m.Name == volume
	})
}

func anonymous(c *Container) []project.MountInfo {
	var found []project.MountInfo
	for _, m := range c.Mounts {
		if m.Type == mountVolume && m.Anonymous {
			found = append(found, m)
		}
	}
	return found
}

// follow makes the slots of a service that is not selected: its containers are
// replaced only where what happens to others makes that necessary.
func (u *up) follow(i int) {
	s := &u.services[i]
	slots, _ := u.present(i)
	for k := range slots {
		sl := &slots[k]
		sl.extra = nil
		if why := u.dragged(i, sl.keep); why != "" {
			sl.create, sl.because = true, why
			sl.start = sl.keep.running() && !u.o.NoStart
		}
	}
	s.slots = slots
}

// dragged says why a container of a service that is not selected is replaced,
// or "".
func (u *up) dragged(i int, c *Container) string {
	w := &u.services[i].wants
	for _, key := range w.networks {
		if r := u.networks[key]; r != nil && r.changed {
			return offNetwork(c, r)
		}
	}
	for _, key := range w.volumes {
		if r := u.volumes[key]; r != nil && r.changed {
			return offVolume(c, r)
		}
	}
	if u.o.NoDeps || u.o.NoRecreate {
		return ""
	}
	for _, owners := range [2][]string{w.namespaces, w.volumesOf} {
		for _, owner := range owners {
			if j, ok := u.g.index[owner]; ok && u.services[j].replaced {
				return owner + " is replaced"
			}
		}
	}
	return ""
}

// bounce has the containers of service i stop and start around a dependency
// that is replaced, where its entry says so.
func (u *up) bounce(i int) {
	s := &u.services[i]
	if u.o.NoStart || u.o.NoDeps && !s.selected {
		return
	}
	for _, e := range u.g.needs[i] {
		d := &u.services[e.to]
		if !e.restart || !d.replaced && !d.bounced || u.o.NoDeps && !d.selected {
			continue
		}
		for k := range s.slots {
			if sl := &s.slots[k]; !sl.create && !sl.start && sl.keep.running() {
				sl.bounce, sl.start, s.bounced = true, true, true
				sl.because = u.g.names[e.to] + " is replaced"
				if d.bounced {
					sl.because = u.g.names[e.to] + " is restarted"
				}
			}
		}
	}
}

// markEarly marks the services whose stops a replacement of a network or
// volume waits for: those that use it, and all that depend on them. The stops
// of these do not wait for new containers, since those wait for the
// replacement.
func (u *up) markEarly(i int) {
	if !u.replaces {
		return
	}
	s := &u.services[i]
	s.early = slices.ContainsFunc(u.g.needs[i], func(e edge) bool { return u.services[e.to].early })
	for _, c := range u.g.containers[i] {
		s.early = s.early || u.onReplaced(c) != nil
	}
}

// onReplaced is a network or volume of c that is replaced, or nil.
func (u *up) onReplaced(c *Container) *resource {
	if !u.replaces {
		return nil
	}
	for _, a := range c.Networks {
		for _, r := range u.networks {
			if r.changed && r.name == a.Network {
				return r
			}
		}
	}
	for _, r := range u.volumes {
		if r.changed && mounts(c, r.name) {
			return r
		}
	}
	return nil
}
