package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/moby/sys/signal"

	"github.com/compose-first/compose/internal/cgroup"
	"github.com/compose-first/compose/project"
)

// exit is how a run ended.
type exit struct {
	code int
	at   time.Time
}

// Stop ends a running container: the signal ("" is SIGTERM), then, grace later,
// SIGKILL. Its end is settled when Stop returns. ErrNotFound if there is no such
// container; one that does not run is left alone.
func (c *Client) Stop(ctx context.Context, id string, signal string, grace time.Duration) error {
	err := c.stop(ctx, id, signal, grace)
	if err == nil {
		return nil
	}
	name := short(id)
	if r, getErr := c.containers.Get(context.WithoutCancel(ctx), id); getErr == nil {
		name = firstOf(r.Labels[project.LabelName], name)
	}
	return fmt.Errorf("stop %s: %w", name, err)
}

func (c *Client) stop(ctx context.Context, id, signal string, grace time.Duration) error {
	t, err := c.getTask(ctx, id)
	if err != nil {
		return err
	}
	if t == nil {
		_, err := c.containers.Get(ctx, id)
		return edge(err)
	}
	if t.Status == task.Status_PAUSED || t.Status == task.Status_PAUSING {
		if err := c.Unpause(ctx, id); err != nil && !isNotFound(err) {
			return err
		}
	}
	if t.Status != task.Status_STOPPED {
		if err := c.signalAndWait(ctx, id, signal, grace); err != nil {
			return err
		}
	}
	_, err = c.Settle(ctx, id)
	return err
}

// signalAndWait returns once the main process has ended, by itself or by SIGKILL.
func (c *Client) signalAndWait(ctx context.Context, id, signal string, grace time.Duration) error {
	sig, err := parseSignal(signal)
	if err != nil {
		return err
	}
	if grace > 0 && sig != syscall.SIGKILL {
		if err := c.kill(ctx, id, sig, false); err != nil && !isNotFound(err) {
			return err
		}
		ended := c.ended(ctx, id)
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
	}
	if err := c.kill(ctx, id, syscall.SIGKILL, true); err != nil && !isNotFound(err) {
		return err
	}
	return c.awaitEnd(ctx, id)
}

// awaitEnd returns once the main process of a container is no more.
func (c *Client) awaitEnd(ctx context.Context, id string) error {
	_, err := c.waitTask(ctx, id)
	if isNotFound(err) { // settled and deleted by somebody else
		return nil
	}
	return err
}

// ended is awaitEnd in the background; it buffers the one answer.
func (c *Client) ended(ctx context.Context, id string) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- c.awaitEnd(ctx, id) }()
	return ended
}

func (c *Client) waitTask(ctx context.Context, id string) (exit, error) {
	resp, err := c.tasks.Wait(ctx, &tasks.WaitRequest{ContainerID: id})
	if err != nil {
		return exit{}, edge(err)
	}
	return exit{code: int(resp.ExitStatus), at: resp.ExitedAt.AsTime()}, nil
}

// Wait returns the exit code once a container that runs has ended, and at once
// that of the last run of one that does not. ErrNotFound.
func (c *Client) Wait(ctx context.Context, id string) (exitCode int, err error) {
	e, err := c.waitTask(ctx, id)
	if err == nil {
		return e.code, nil
	}
	if !isNotFound(err) {
		return 0, fmt.Errorf("wait for %s: %w", short(id), err)
	}
	r, err := c.containers.Get(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("wait for %s: %w", short(id), edge(err))
	}
	return labelInt(r.Labels, project.LabelExitCode), nil
}

// Settle writes down how a run ended that has, deletes its task, and returns
// the container; any other container it only returns. ErrNotFound.
//
// The labels come first: a crash in between leaves the task, and the next
// Settle writes the same again.
func (c *Client) Settle(ctx context.Context, id string) (Container, error) {
	release, err := c.turn(ctx, id)
	if err != nil {
		return Container{}, err
	}
	defer release()
	t, err := c.getTask(ctx, id)
	if err != nil {
		return Container{}, err
	}
	if t == nil || t.Status != task.Status_STOPPED {
		return c.Inspect(ctx, id)
	}
	r, err := c.updateLabels(ctx, id, exitLabels(exit{int(t.ExitStatus), t.ExitedAt.AsTime()}, c.oomKilled(id)))
	if err != nil {
		return Container{}, fmt.Errorf("settle %s: %w", short(id), err)
	}
	c.tellEnd(ctx, id, t)
	if err := c.deleteTask(ctx, id, shimGroup(r.Spec)); err != nil {
		return Container{}, fmt.Errorf("settle %s: %w", short(id), err)
	}
	return describe(r, nil), nil
}

// exitLabels are those of a container whose run has ended. Its health ends with
// it: the next run's must not be taken to be the last one's.
func exitLabels(e exit, oom bool) map[string]string {
	labels := map[string]string{
		project.LabelExitCode:   strconv.Itoa(e.code),
		project.LabelFinishedAt: e.at.UTC().Format(time.RFC3339Nano),
		project.LabelOOMKilled:  "",
		project.LabelHealth:     "",
	}
	if oom {
		labels[project.LabelOOMKilled] = "true"
	}
	return labels
}

// oomKilled tells whether the kernel killed a process of a container for want
// of memory. Its cgroup knows, and lasts until the task is deleted.
func (c *Client) oomKilled(id string) bool {
	group := c.cgroup(id)
	for _, file := range []string{
		filepath.Join(cgroup.Root, group, "memory.events"),
		filepath.Join(cgroup.Root, "memory", group, "memory.oom_control"),
	} {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
				return strings.TrimSpace(n) != "0"
			}
		}
	}
	return false
}

// cgroup is the path of a container's cgroup, with the engine's own parent.
func (c *Client) cgroup(id string) string {
	in := specInput{root: c.cfg.Root}
	in.ID = id
	return cgroupPath(in)
}

// Kill sends a signal ("" is SIGKILL) to a container's main process.
// ErrNotFound if there is no such container, ErrConflict if it does not run.
func (c *Client) Kill(ctx context.Context, id, name string) error {
	sig := syscall.SIGKILL
	if name != "" {
		var err error
		if sig, err = parseSignal(name); err != nil {
			return err
		}
	}
	err := c.kill(ctx, id, sig, sig == syscall.SIGKILL)
	if isNotFound(err) {
		return c.notRunning(ctx, "kill", id)
	}
	return err
}

// notRunning is the error of an act that needs a running container.
func (c *Client) notRunning(ctx context.Context, act, id string) error {
	r, err := c.containers.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("%s %s: %w", act, short(id), edge(err))
	}
	return fmt.Errorf("%s %s: %w: it is not running", act, firstOf(r.Labels[project.LabelName], short(id)), ErrConflict)
}

func (c *Client) kill(ctx context.Context, id string, sig syscall.Signal, all bool) error {
	_, err := c.tasks.Kill(ctx, &tasks.KillRequest{ContainerID: id, Signal: uint32(sig), All: all})
	return edge(err)
}

// parseSignal reads a name with or without SIG, "RTMIN+3", or a number; "" is SIGTERM.
func parseSignal(name string) (syscall.Signal, error) {
	if name == "" {
		return syscall.SIGTERM, nil
	}
	s, err := signal.ParseSignal(name)
	if err != nil {
		return 0, fmt.Errorf("%q is no signal", name)
	}
	return s, nil
}

// Pause freezes a running container. ErrNotFound, ErrConflict if it does not run.
func (c *Client) Pause(ctx context.Context, id string) error {
	_, err := c.tasks.Pause(ctx, &tasks.PauseTaskRequest{ContainerID: id})
	return c.frozen(ctx, "pause", id, edge(err))
}

// Unpause thaws a paused container. ErrNotFound, ErrConflict if it is not paused.
func (c *Client) Unpause(ctx context.Context, id string) error {
	_, err := c.tasks.Resume(ctx, &tasks.ResumeTaskRequest{ContainerID: id})
	return c.frozen(ctx, "unpause", id, edge(err))
}

func (c *Client) frozen(ctx context.Context, act, id string, err error) error {
	if isNotFound(err) {
		return c.notRunning(ctx, act, id)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", act, short(id), err)
	}
	return nil
}
