package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/typeurl/v2"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/compose-first/compose/project"
)

// Start runs a created or exited container, by hand: it is no longer stopped,
// and its restarts count from nought. A container that runs is left alone.
// ErrNotFound; ErrCommandNotFound and ErrNotExecutable when its program cannot be run.
//
// It does not wait for the logger: see makeStreams.
func (c *Client) Start(ctx context.Context, id string) error {
	return c.start(ctx, id, map[string]string{project.LabelStopped: "", project.LabelRestartCount: ""}, nil)
}

// Restart runs an exited container again because its restart policy says so,
// for the count-th time. ErrConflict if it was stopped by hand meanwhile.
func (c *Client) Restart(ctx context.Context, id string, count int) error {
	return c.start(ctx, id, map[string]string{project.LabelRestartCount: strconv.Itoa(count)}, func(r containers.Container) error {
		if r.Labels[project.LabelStopped] == "true" {
			return fmt.Errorf("stopped by hand: %w", ErrConflict)
		}
		return nil
	})
}

// start runs a container whose record passes check, with labels of its start.
func (c *Client) start(ctx context.Context, id string, labels map[string]string, check func(containers.Container) error) error {
	release, err := c.turn(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	r, err := c.containers.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("start %s: %w", short(id), edge(err))
	}
	if check != nil {
		err = check(r)
	}
	if err == nil {
		err = c.startRecorded(ctx, r, labels)
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", firstOf(r.Labels[project.LabelName], short(id)), err)
	}
	return nil
}

// startRecorded runs a container. Its labels are written while the task is
// made, since both wait for the disk or the kernel rather than the processor.
func (c *Client) startRecorded(ctx context.Context, r containers.Container, labels map[string]string) (retErr error) {
	running, err := c.clearTask(ctx, r.ID)
	if err != nil || running {
		return err
	}
	record, err := readRecord(r)
	if err != nil {
		return err
	}
	if err := c.ensureFiles(r.ID, record); err != nil {
		return err
	}
	if err := c.loadProfile(); err != nil {
		return err
	}
	joins, err := c.refreshJoins(ctx, &r, record)
	if err != nil {
		return err
	}
	defer joins()
	mounts, err := c.snapshots.Mounts(ctx, r.SnapshotKey)
	if err != nil {
		return fmt.Errorf("files of the container: %w", edge(err))
	}
	s, err := c.makeStreams(r.ID, record)
	if err != nil {
		return err
	}
	defer s.release()

	var g errgroup.Group
	g.Go(func() error { return c.SetLabels(ctx, r.ID, startLabels(record, labels)) })
	err = c.runTask(ctx, r, mounts, s, record)
	labelErr := g.Wait()
	if err == nil && labelErr != nil {
		_ = c.endTask(context.WithoutCancel(ctx), r.ID)
	}
	if err != nil {
		_ = c.SetLabels(context.WithoutCancel(ctx), r.ID, map[string]string{project.LabelStartedAt: r.Labels[project.LabelStartedAt]})
		return err
	}
	return labelErr
}

// loadProfile makes sure that the kernel knows the AppArmor profile of
// containers, where there is AppArmor: it forgets with each boot.
func (c *Client) loadProfile() error {
	host, err := c.host()
	if err != nil || !host.AppArmor {
		return err
	}
	return c.apparmor()
}

// startLabels are those of a container that begins a run.
func startLabels(r project.Record, more map[string]string) map[string]string {
	labels := map[string]string{
		project.LabelStartedAt:  time.Now().UTC().Format(time.RFC3339Nano),
		project.LabelFinishedAt: "",
		project.LabelExitCode:   "",
		project.LabelOOMKilled:  "",
		project.LabelRestarting: "",
		project.LabelHealth:     "",
	}
	if r.Health != nil {
		labels[project.LabelHealth] = "starting"
	}
	for k, v := range more {
		labels[k] = v
	}
	return labels
}

// clearTask takes away what is left of an earlier run, and tells whether the
// container runs. Only a streams folder that is there hints at one.
func (c *Client) clearTask(ctx context.Context, id string) (running bool, err error) {
	if !exists(c.cfg.Root.Streams(id)) {
		return false, nil
	}
	c.endHalfMade(ctx, id)
	t, err := c.getTask(ctx, id)
	if err != nil {
		return false, err
	}
	if t != nil {
		switch t.Status {
		case task.Status_RUNNING, task.Status_PAUSED, task.Status_PAUSING:
			return true, nil
		}
	}
	return false, c.endTask(ctx, id)
}

// A shim that serves several containers ends with the last one; a container
// that comes to it at that moment finds it gone, and gets a new one.
const (
	shimTries = 4
	shimPause = 20 * time.Millisecond
)

// undoPatience is how long containerd may take to undo the start that a killed
// command had asked for. It gives its shim 5 seconds for each of two acts, and
// does others meanwhile: on a busy machine 15 seconds were not always enough.
const undoPatience = 40 * time.Second

// undoing tells whether containerd, or runc for it, has not yet undone an
// earlier start, or was just removing the folder as it made it for this one.
func undoing(err error) bool {
	text := err.Error()
	return strings.Contains(text, "container with given ID already exists") || strings.Contains(text, "io.containerd.runtime.v2.task") &&
		(strings.Contains(text, "file exists") || strings.Contains(text, "symlink ") && strings.Contains(text, "no such file or directory"))
}

// runTask creates and starts the task of a container.
func (c *Client) runTask(ctx context.Context, r containers.Container, mounts []mount.Mount, s *streams, record project.Record) error {
	request := &tasks.CreateTaskRequest{
		ContainerID: r.ID,
		Terminal:    record.TTY,
		Stdin:       s.stdin, Stdout: s.stdout, Stderr: s.stderr,
		Rootfs: protoMounts(labelMounts(mounts, record.FileLabel)),
	}
	if r.Runtime.Options != nil {
		request.Options = &anypb.Any{TypeUrl: r.Runtime.Options.GetTypeUrl(), Value: r.Runtime.Options.GetValue()}
	}
	group := shimGroup(r.Spec)
	began := time.Now()
	for try := 1; ; try++ {
		err := c.gate.pass(ctx, group, func() error {
			release, err := c.shimTurn(ctx, group, shimMaking)
			if err != nil {
				return err
			}
			defer release()
			done, err := c.makingTask(r.ID)
			if err != nil {
				return err
			}
			defer done()
			_, err = c.tasks.Create(ctx, request)
			return edge(err)
		})
		if err == nil {
			err = c.startTask(ctx, r.ID, group)
		}
		if err == nil {
			return nil
		}
		if undoing(err) && time.Since(began) < undoPatience {
			if clearErr := c.clearTaskFolder(r.ID, time.Since(began)); clearErr != nil {
				return errors.Join(err, clearErr)
			}
			try-- // that says nothing of this start
		} else if isConflict(err) && try < shimTries { // a task of a starter that was killed
			if running, clearErr := c.clearTask(ctx, r.ID); clearErr != nil || running {
				return errors.Join(err, clearErr)
			}
			continue
		} else if !shimGone(err) || try == shimTries {
			return commandError(program(r.Spec), err)
		}
		slog.DebugContext(ctx, "shim ended or was being made as a container came to it, trying again", "container", r.ID, "error", err)
		select {
		case <-time.After(time.Duration(max(try, 1)) * shimPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// startTask starts a task that was created; of one that fails nothing is left.
func (c *Client) startTask(ctx context.Context, id, group string) error {
	if _, err := c.tasks.Start(ctx, &tasks.StartRequest{ContainerID: id}); err != nil {
		_ = c.endTaskOf(context.WithoutCancel(ctx), id, group)
		return edge(err)
	}
	return nil
}

// program is the first word of what a container runs.
func program(spec typeurl.Any) string {
	s, err := decodeSpec(spec)
	if err != nil || s.Process == nil || len(s.Process.Args) == 0 {
		return ""
	}
	args := s.Process.Args
	if args[0] == initTarget && len(args) > 2 {
		args = args[2:]
	}
	return args[0]
}

func protoMounts(mounts []mount.Mount) []*types.Mount {
	all := make([]*types.Mount, len(mounts))
	for i, m := range mounts {
		all[i] = &types.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options}
	}
	return all
}
