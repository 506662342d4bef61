package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
)

// Remove deletes a container with everything it has here: the task, killed if
// need be, files, pipes and log. ErrNotFound if there was no such container;
// what else was left of it is gone then too.
func (c *Client) Remove(ctx context.Context, id string) error {
	release, err := c.turn(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	c.endHalfMade(ctx, id)
	if err := c.endTask(ctx, id); err != nil {
		return fmt.Errorf("remove %s: %w", short(id), err)
	}
	if err := c.clearTaskFolder(id, deletingLimit); err != nil {
		return fmt.Errorf("remove %s: %w", short(id), err)
	}
	missing := edge(c.containers.Delete(ctx, id))
	if missing != nil && !isNotFound(missing) {
		return fmt.Errorf("remove %s: %w", short(id), missing)
	}
	if err := edge(c.snapshots.Remove(ctx, id)); err != nil && !isNotFound(err) {
		return fmt.Errorf("remove files of %s: %w", short(id), err)
	}
	if err := c.removeFiles(id); err != nil {
		return fmt.Errorf("remove %s: %w", short(id), err)
	}
	if missing != nil {
		return fmt.Errorf("remove %s: %w", short(id), missing)
	}
	return nil
}

// removeFiles takes away all that a container has under the engine's root and
// that is this room's.
func (c *Client) removeFiles(id string) error {
	root := c.cfg.Root
	if err := dropSharedMemory(root.SharedMemory(id)); err != nil {
		return err
	}
	return errors.Join(
		removeTree(root.Streams(id)),
		removeTree(root.Container(id)),
		removeIfThere(root.HealthLog(id)),
	)
}

// removeTries is how often a folder is emptied that somebody writes to.
const removeTries = 100

// removeTree removes a folder in which the logger may be writing its last: it
// makes a file a stream at most, and none once the folder is gone.
func removeTree(dir string) (err error) {
	for range removeTries {
		if err = os.RemoveAll(dir); !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return err
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// endTask kills the task of a container and deletes it. It deletes also where
// there seems to be none: of a deletion that was cut off, containerd keeps what
// neither shows as a task nor lets another be made.
func (c *Client) endTask(ctx context.Context, id string) error {
	return c.endTaskOf(ctx, id, "")
}

// endTaskOf is endTask while others of a shim group may be being made.
func (c *Client) endTaskOf(ctx context.Context, id, group string) error {
	t, err := c.getTask(ctx, id)
	if err != nil {
		return err
	}
	if t != nil && t.Status != task.Status_STOPPED {
		if err := c.killTask(ctx, id, t.Status); err != nil {
			return err
		}
		if t, err = c.getTask(ctx, id); err != nil {
			return err
		}
	}
	c.tellEnd(ctx, id, t)
	return c.deleteTask(ctx, id, group)
}

// killTask returns once the processes of a container are no more.
func (c *Client) killTask(ctx context.Context, id string, status task.Status) error {
	err := c.kill(ctx, id, syscall.SIGKILL, true)
	if isNotFound(err) || err != nil && shimGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if status == task.Status_PAUSED || status == task.Status_PAUSING { // the signal arrives when it is thawed
		_, _ = c.tasks.Resume(ctx, &tasks.ResumeTaskRequest{ContainerID: id})
	}
	return c.awaitEnd(ctx, id)
}

// deleteTask deletes a task that has ended; none at all is as good, and a
// shim that is gone took its task along. group is as for shimTurn, "" where no
// other of it can be being made.
func (c *Client) deleteTask(ctx context.Context, id, group string) error {
	release, err := c.shimTurn(ctx, group, shimDeleting)
	if err != nil {
		return err
	}
	defer release()
	_, err = c.tasks.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: id})
	if err = edge(err); err == nil || isNotFound(err) {
		return nil
	}
	if strings.Contains(err.Error(), "ttrpc: closed") {
		_, err = c.tasks.Delete(ctx, &tasks.DeleteTaskRequest{ContainerID: id})
		if err = edge(err); err == nil || isNotFound(err) {
			return nil
		}
	}
	return fmt.Errorf("delete task: %w", err)
}

// shimGone tells whether an act failed because the shim ended meanwhile.
func shimGone(err error) bool {
	text := err.Error()
	return strings.Contains(text, "ttrpc: closed") || strings.Contains(text, "connection refused") || strings.Contains(text, "address already in use") ||
		strings.Contains(text, "shim") && strings.Contains(text, "no such file or directory")
}
