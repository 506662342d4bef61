package engine

import (
	"context"
	"fmt"
	"sort"

	"github.com/containerd/containerd/v2/core/containers"

	"github.com/compose-first/compose/project"
)

// SetLabels merges labels into those of a container; an empty value deletes
// one. ErrNotFound.
func (c *Client) SetLabels(ctx context.Context, id string, labels map[string]string) error {
	if _, err := c.updateLabels(ctx, id, labels); err != nil {
		return fmt.Errorf("label %s: %w", short(id), err)
	}
	return nil
}

// MarkStopped notes that a container was stopped by hand, or is no longer. It
// waits for a start that is under way: a restart that has not seen the note
// has then made its task, which a Stop after this finds.
func (c *Client) MarkStopped(ctx context.Context, id string, stopped bool) error {
	release, err := c.turn(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	value := ""
	if stopped {
		value = "true"
	}
	return c.SetLabels(ctx, id, map[string]string{project.LabelStopped: value})
}

// updateLabels merges labels in one transaction of containerd, which touches
// only those: two writers of different labels do not undo each other.
func (c *Client) updateLabels(ctx context.Context, id string, labels map[string]string) (containers.Container, error) {
	paths := make([]string, 0, len(labels))
	for key := range labels {
		paths = append(paths, "labels."+key)
	}
	sort.Strings(paths)
	r, err := c.containers.Update(ctx, containers.Container{ID: id, Labels: labels}, paths...)
	return r, edge(err)
}
