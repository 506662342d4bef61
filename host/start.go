package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

// StartContainer starts a container by hand: a stop by hand before it is
// forgotten.
func (h *Host) StartContainer(ctx context.Context, r scheduler.Ref) error {
	if c, isNew := h.madeAs(r.Name); isNew && (r.ID == "" || r.ID == c.ID) {
		return edge(h.Start(ctx, c))
	}
	c, err := h.container(ctx, r)
	if err != nil {
		return err
	}
	h.noteStopped(c.ID, false)
	switch c.State {
	case engine.StateRunning:
		return nil
	case engine.StatePaused:
		return fmt.Errorf("container %s is paused: unpause it first", r.Name)
	}
	if err := h.renewFiles(ctx, c); err != nil {
		return edge(fmt.Errorf("container %s: %w", r.Name, err))
	}
	return edge(h.Start(ctx, c))
}

// renewFiles keeps for a container what the file and the environment now say
// of its secrets and configs: it sees them from its next start on. Those that
// say nothing any more, as a variable that is not set, stay as they were.
func (h *Host) renewFiles(ctx context.Context, c engine.Container) error {
	if h.project == nil || len(c.Record.Files) == 0 {
		return nil
	}
	contents, err := h.project.FileContents(c.Record.Service)
	if err != nil {
		return nil
	}
	files := slices.DeleteFunc(slices.Clone(c.Record.Files), func(f project.File) bool {
		_, said := contents[f.Kind+"/"+f.Name]
		return !said
	})
	return h.volumes.WriteFiles(ctx, c.ID, files, contents)
}

// Start makes ready what a container needs, its network, its names, its files,
// and starts it. It may be repeated: after a reboot, when all of that is gone,
// and after a crash, when none of it is.
func (m *Machine) Start(ctx context.Context, c engine.Container) error {
	if c.RecordError != nil {
		return fmt.Errorf("container %s: %w; recreate it with `compose up --force-recreate`", c.Name, c.RecordError)
	}
	if err := m.wire(ctx, c.ID, c.Record); err != nil {
		return fmt.Errorf("network of %s: %w", c.Name, err)
	}
	if err := m.volumes.Restore(ctx, c.ID, c.Record.FileLabel, c.Record.Mounts); err != nil {
		return err
	}
	if _, err := m.volumes.RestoreFiles(ctx, c.ID, c.Record.FileLabel, c.Record.Files); err != nil {
		return err
	}
	if m.Ready != nil && len(c.Record.Networks) > 0 {
		if err := m.Ready(ctx, c.ID); err != nil {
			return fmt.Errorf("names of %s: %w", c.Name, err)
		}
	}
	return m.Engine.Start(ctx, c.ID)
}

// wire makes a container's own network namespace and its wires. A container in
// another's or the host's namespace has none.
func (m *Machine) wire(ctx context.Context, id string, r project.Record) error {
	if r.NetworkMode != "" && r.NetworkMode != "none" {
		return nil
	}
	var wires []netplan.Wire
	for _, a := range r.Networks {
		n, err := m.networks.Get(a.Network)
		if err != nil {
			return err
		}
		wires = append(wires, netplan.Wire{Attachment: a, Network: n})
	}
	err := m.net.Attach(ctx, m.Root.Netns(id), wires, netplan.AttachOptions{LoopbackOnly: r.NetworkMode == "none"})
	if err == nil {
		return nil
	}
	// A bridge may have gone with a reboot, or by somebody's hand.
	for _, w := range wires {
		if err := m.net.Ensure(ctx, w.Network); err != nil {
			return err
		}
	}
	return m.net.Attach(ctx, m.Root.Netns(id), wires, netplan.AttachOptions{LoopbackOnly: r.NetworkMode == "none"})
}

// StopContainer stops a container by hand. What its restart policy and its
// ports need to know is written before the signal is sent.
func (h *Host) StopContainer(ctx context.Context, r scheduler.Ref, timeout *time.Duration) error {
	c, err := h.recorded(ctx, r)
	if err != nil {
		return err
	}
	if err := h.markStopped(ctx, c); err != nil {
		return edge(err)
	}
	grace := c.Record.StopGrace
	if timeout != nil {
		grace = *timeout
	}
	if err := h.Engine.Stop(ctx, c.ID, c.Record.StopSignal, grace); err != nil {
		return edge(err)
	}
	h.noteStopped(c.ID, true)
	return nil
}

func (h *Host) noteStopped(id string, stopped bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped[id] = stopped
}

// markStopped writes down a stop by hand where somebody acts on it: the agent,
// for restarts and published ports. Others are spared the write.
func (h *Host) markStopped(ctx context.Context, c engine.Container) error {
	if c.Record.Restart.Name == project.RestartNo && len(c.Record.Ports) == 0 {
		return nil
	}
	return h.Engine.MarkStopped(ctx, c.ID, true)
}

// KillContainer sends a signal. One that ends the container counts as a stop
// by hand: its restart policy does not act. After SIGKILL the container has
// ended on return, so that it can be started at once.
func (h *Host) KillContainer(ctx context.Context, r scheduler.Ref, signal string) error {
	c, err := h.recorded(ctx, r)
	if err != nil {
		return err
	}
	if endsContainer(signal, c.Record.StopSignal) {
		if err := h.markStopped(ctx, c); err != nil {
			return edge(err)
		}
	}
	if isSIGKILL(signal) {
		return edge(h.Engine.Stop(ctx, c.ID, signal, 0))
	}
	return edge(h.Engine.Kill(ctx, c.ID, signal))
}

// RemoveContainer removes a container. Its record goes last: until then a
// command that was killed half way is finished by the next one.
func (h *Host) RemoveContainer(ctx context.Context, r scheduler.Ref, anonymous bool) error {
	c, err := h.ended(ctx, r)
	if err != nil {
		return err
	}
	end, err := h.Engine.Begin(c.ID)
	if err != nil {
		return err
	}
	err = h.remove(ctx, c.ID)
	end(err == nil || errors.Is(err, engine.ErrNotFound))
	if err != nil {
		return edge(fmt.Errorf("container %s: %w", c.Name, err))
	}
	if anonymous {
		return h.removeAnonymous(ctx, c)
	}
	return nil
}

// ended is a container that is to be removed, which does not run any more.
func (h *Host) ended(ctx context.Context, r scheduler.Ref) (engine.Container, error) {
	h.mu.Lock()
	stopped := h.stopped[r.ID]
	h.mu.Unlock()
	if stopped { // and nobody but this command starts it
		return h.recorded(ctx, r)
	}
	c, err := h.container(ctx, r)
	if err != nil || c.PID == 0 {
		return c, err
	}
	if err := h.markStopped(ctx, c); err != nil {
		return c, edge(err)
	}
	return c, edge(h.Engine.Stop(ctx, c.ID, "SIGKILL", 0))
}

// remove removes a container with all that it has in each room. Each part may
// be gone already.
func (m *Machine) remove(ctx context.Context, id string) error {
	if err := m.net.Detach(ctx, m.Root.Netns(id)); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if err := m.volumes.RemoveFiles(ctx, id); err != nil {
		return err
	}
	_ = removeIfThere(m.Root.HealthLog(id)) // without it nothing is missed
	if err := m.Engine.Remove(ctx, id); err != nil {
		return err
	}
	// The agent may have mended the namespace meanwhile, for a container that
	// its restart policy was about to start.
	if err := m.net.Detach(ctx, m.Root.Netns(id)); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	return nil
}

// Forget takes away what there is under the id of a container that containerd
// no longer has. One that it has is left alone.
func (m *Machine) Forget(ctx context.Context, id string) error {
	_, err := m.Engine.Inspect(ctx, id)
	if err == nil {
		return nil
	}
	if gone(err) != nil {
		return err
	}
	end, err := m.Engine.Begin(id)
	if err != nil {
		return err
	}
	err = gone(m.remove(ctx, id))
	end(err == nil)
	return err
}

// Sweep takes away what killed commands have left: containers that they were
// making or removing, mounts of images, what they were building, half-written
// records.
func (m *Machine) Sweep(ctx context.Context) error {
	if err := m.Engine.Sweep(ctx); err != nil {
		return err
	}
	if err := m.Engine.SweepBuilds(ctx); err != nil {
		return err
	}
	if err := m.networks.Sweep(); err != nil {
		return err
	}
	return m.Engine.Unfinished(ctx, func(ctx context.Context, id string) error {
		if err := m.remove(ctx, id); err != nil && !errors.Is(err, engine.ErrNotFound) {
			return err
		}
		return nil
	})
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeAnonymous removes a gone container's anonymous volumes that no other
// container mounts.
func (h *Host) removeAnonymous(ctx context.Context, c engine.Container) error {
	for _, mount := range c.Record.Mounts {
		if !mount.Anonymous {
			continue
		}
		err := h.RemoveVolume(ctx, mount.Name)
		if err != nil && !errors.Is(err, scheduler.ErrNotFound) && !errors.Is(err, scheduler.ErrInUse) {
			return fmt.Errorf("anonymous volume of %s: %w", c.Name, err)
		}
	}
	return nil
}
