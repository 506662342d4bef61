package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/containerd/containerd/v2/core/snapshots"
	"golang.org/x/sys/unix"
)

// containerID is what NewID makes.
var containerID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// IsID tells whether text could be the id of one of our containers.
func IsID(text string) bool { return containerID.MatchString(text) }

// Remains is what containerd holds under the ids of containers, whether or not
// it still has the containers, and what killed commands have noted.
type Remains struct {
	Containers map[string]bool // all in our namespace, those of other clients too
	Tasks      []string        // ids
	Snapshots  []string        // ids
	Noted      map[string]bool // ids of containers that are being made or removed
	Abandoned  []string        // those of them whose process was killed meanwhile
	Mounts     []string        // names of mounts of images whose process was killed
}

// Remains looks at all of it. What is listed first is what is made last: a
// container that is made or removed meanwhile is among Containers or Noted.
func (c *Client) Remains(ctx context.Context) (Remains, error) {
	r := Remains{Containers: map[string]bool{}, Noted: map[string]bool{}}
	byID, err := c.listTasks(ctx)
	if err != nil {
		return r, err
	}
	for id := range byID {
		if IsID(id) {
			r.Tasks = append(r.Tasks, id)
		}
	}
	if err := c.listSnapshots(ctx, &r); err != nil {
		return r, err
	}
	if err := c.listNotes(&r); err != nil {
		return r, err
	}
	records, err := c.listContainers(ctx, "")
	if err != nil {
		return r, fmt.Errorf("list containers: %w", edge(err))
	}
	for _, record := range records {
		r.Containers[record.ID] = true
	}
	return r, nil
}

// listSnapshots adds those of containers, and of mounts of images that nobody
// will release.
func (c *Client) listSnapshots(ctx context.Context, r *Remains) error {
	err := c.snapshots.Walk(ctx, func(_ context.Context, s snapshots.Info) error {
		switch place, isMount := strings.CutPrefix(s.Name, mountPrefix); {
		case s.Kind == snapshots.KindCommitted:
		case IsID(s.Name):
			r.Snapshots = append(r.Snapshots, s.Name)
		case isMount && !mounterLives(place):
			r.Mounts = append(r.Mounts, place)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list snapshots: %w", edge(err))
	}
	return nil
}

// listNotes adds the containers that are being made or removed.
func (c *Client) listNotes(r *Remains) error {
	entries, err := os.ReadDir(filepath.Dir(c.cfg.Root.Unfinished("")))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("look for what killed commands left: %w", err)
	}
	for _, e := range entries {
		r.Noted[e.Name()] = true
		fd, err := takeNote(c.cfg.Root.Unfinished(e.Name()), 0, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			unix.Close(fd)
			r.Abandoned = append(r.Abandoned, e.Name())
		}
	}
	return nil
}

// RemoveMount takes away the mount of an image that a killed command has left.
func (c *Client) RemoveMount(ctx context.Context, name string) error {
	if mounterLives(name) {
		return nil
	}
	err := c.releaseMount(ctx, filepath.Join(c.cfg.Root.ImageMounts(), filepath.Base(name)))
	if errors.Is(err, os.ErrNotExist) { // gone with the run folder, over a reboot
		return nil
	}
	return err
}

// mounterLives tells whether the process that has mounted an image may still
// release the mount.
func mounterLives(name string) bool {
	pid, _, _ := strings.Cut(name, "-")
	return exists("/proc/" + pid)
}
