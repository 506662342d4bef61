package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/cgroup"
	"github.com/compose-first/compose/netplan"
)

// Left-overs are what an engine of ours has made, and what belongs neither to a
// container that containerd has, nor to one that is being made or removed, nor
// to a network with a record, nor to an engine that may be alive. Nothing of
// that can come back by itself: ids are never used twice, and networks have
// their record before anything else.
//
// Whatever is not known to be so is left alone: of other engines, what may be
// alive; without a containerd to ask, everything of containers.

// leftovers lists them; each can be removed.
func leftovers(ctx context.Context, c Config) []Finding {
	if c.Engine == nil {
		return []Finding{{Status: Note, Found: "left-overs were not looked for", Means: "the engine does not run, and knows alone what is in use", Do: "run `compose engine start` first to have them looked for"}}
	}
	found, err := leftover(ctx, c)
	if err != nil {
		return []Finding{unknown("left-overs", err)}
	}
	if len(found) == 0 {
		return []Finding{{Status: OK, Found: "nothing is left over", Means: "all that the engine has made belongs to something"}}
	}
	return found
}

func leftover(ctx context.Context, c Config) ([]Finding, error) {
	elsewhere, err := c.Engine.Elsewhere()
	if err != nil {
		return nil, err
	}
	// What may be left over is looked at before those who may own it: what is
	// made meanwhile has an owner by then. What is removed meanwhile is sorted
	// out by looking again.
	before, err := places(c.Root)
	if err != nil {
		return nil, err
	}
	var remains engine.Remains
	network, err := c.networkLeftovers(ctx, &remains, len(elsewhere) == 0)
	if err != nil {
		return nil, err
	}
	groups, err := c.deadGroups()
	if err != nil {
		return nil, err
	}
	daemons, err := strays()
	if err != nil {
		return nil, err
	}
	shims, err := c.idleShims(ctx)
	if err != nil {
		return nil, err
	}
	network = slices.Concat(network, groups, daemons, shims)
	if len(elsewhere) > 0 {
		return append(network, Finding{
			Status: Note, Found: "this engine root has containers in another containerd, too, at " + strings.Join(elsewhere, ", "),
			Means: "what containers leave behind is not told from what those have", Do: "once they are removed, delete " + c.Root.Elsewhere(""),
		}), nil
	}
	after, err := places(c.Root)
	if err != nil {
		return nil, err
	}
	left := byID{}
	for id, things := range before {
		if !remains.Containers[id] && !remains.Noted[id] {
			left[id] = slices.DeleteFunc(things, func(t thing) bool { return !slices.Contains(after[id], t) })
		}
	}
	for _, id := range remains.Tasks {
		left.add(remains, id, "task")
	}
	for _, id := range remains.Snapshots {
		left.add(remains, id, "snapshot")
	}
	return slices.Concat(c.forgotten(left), c.abandoned(remains), c.imageMounts(remains), network), nil
}

// add adds a thing that containerd has under an id that no container has.
func (left byID) add(r engine.Remains, id, kind string) {
	if !r.Containers[id] && !r.Noted[id] {
		left[id] = append(left[id], thing{kind, id})
	}
}

// networkLeftovers asks for what is left over in the kernel's network, and
// tells by the way what containerd has. complete says that no other containerd
// has containers of this engine.
func (c Config) networkLeftovers(ctx context.Context, remains *engine.Remains, complete bool) ([]Finding, error) {
	h, err := netplan.NewHost(c.Root)
	if err != nil {
		return nil, err
	}
	left, err := h.Leftovers(func() (netplan.Owners, error) {
		networks, err := netplan.OpenStore(c.Root).List()
		if err != nil {
			return netplan.Owners{}, err // one that cannot be read owns something, too
		}
		if *remains, err = c.Engine.Remains(ctx); err != nil {
			return netplan.Owners{}, err
		}
		alive, err := aliveEngines()
		if err != nil {
			return netplan.Owners{}, err
		}
		owners := netplan.Owners{Networks: networks, Engine: func(tag string) bool { return alive[tag] }}
		if !complete {
			return owners, nil
		}
		owners.Containers = map[string]bool{}
		for id := range remains.Containers {
			owners.Containers[id] = true
		}
		for id := range remains.Noted {
			owners.Containers[id] = true
		}
		return owners, nil
	})
	if err != nil {
		return nil, err
	}
	var all []Finding
	for _, l := range left {
		all = append(all, Finding{Status: Warning, Found: l.Kind + " " + l.Name, Means: "no network, container or engine needs it", Do: removable, fix: l.Remove})
	}
	return all, nil
}

const removable = "`compose doctor --fix` removes it"

// forgotten is what is there of containers that containerd does not have.
func (c Config) forgotten(left byID) []Finding {
	var all []Finding
	for _, id := range left.sorted() {
		for _, t := range left[id] {
			all = append(all, Finding{
				Status: Warning, Found: t.kind + " " + t.name, Means: "the container that it was for is gone", Do: removable,
				fix: func(ctx context.Context) error { return c.forget(ctx, id) },
			})
		}
	}
	return all
}

// forget removes all that there is under an id; doing so twice is no error.
func (c Config) forget(ctx context.Context, id string) error {
	if err := killGroup(ctx, c.Root, id); err != nil {
		return err
	}
	if err := c.Machine.Forget(ctx, id); err != nil {
		return err
	}
	return removeGroups(c.Root, id)
}

// abandoned are containers that a killed command was making or removing.
func (c Config) abandoned(r engine.Remains) []Finding {
	var all []Finding
	for _, id := range r.Abandoned {
		all = append(all, Finding{
			Status: Warning, Found: "note " + c.Root.Unfinished(id), Means: "a killed command was making or removing this container; the next one of its project tidies up",
			Do: removable, fix: c.Machine.Sweep,
		})
	}
	return all
}

// idleShims are those that have lost their containers.
func (c Config) idleShims(ctx context.Context) ([]Finding, error) {
	idle, err := c.Engine.IdleShims(ctx)
	if err != nil {
		return nil, err
	}
	var all []Finding
	for _, s := range idle {
		all = append(all, Finding{
			Status: Warning, Found: fmt.Sprintf("process %d, shim of container %s", s.PID, s.ID), Means: "it serves no container any more", Do: removable,
			fix: func(ctx context.Context) error { return c.Engine.EndIdleShim(ctx, s) },
		})
	}
	return all, nil
}

// imageMounts are those of killed commands.
func (c Config) imageMounts(r engine.Remains) []Finding {
	var all []Finding
	for _, name := range r.Mounts {
		all = append(all, Finding{
			Status: Warning, Found: "mount of an image " + name, Means: "the command that read the image was killed; it keeps the image from being removed",
			Do: removable, fix: func(ctx context.Context) error { return c.Engine.RemoveMount(ctx, name) },
		})
	}
	return all
}

// deadGroups are control groups of engines that are gone.
func (c Config) deadGroups() ([]Finding, error) {
	alive, err := aliveEngines()
	if err != nil {
		return nil, err
	}
	var all []Finding
	for tag, paths := range engineGroups() {
		if tag == c.Root.Tag() || alive[tag] {
			continue
		}
		for _, path := range paths {
			if len(cgroup.Processes(path)) > 0 {
				continue
			}
			all = append(all, Finding{
				Status: Warning, Found: "cgroup " + path, Means: "its engine is gone, and no process is in it", Do: removable,
				fix: func(context.Context) error { return cgroup.Remove(path) },
			})
		}
	}
	slices.SortFunc(all, func(a, b Finding) int { return strings.Compare(a.Found, b.Found) })
	return all, nil
}
