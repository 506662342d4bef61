package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"time"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"

	"github.com/compose-first/compose/project"
)

// State is what a container is doing.
type State string

// The states, in the words of docker ps.
const (
	StateCreated    State = "created"
	StateRunning    State = "running"
	StatePaused     State = "paused"
	StateRestarting State = "restarting" // exited, and its restart policy is about to start it again
	StateExited     State = "exited"
	StateDead       State = "dead" // its shim is gone, and how it ended is not known yet
	StateRemoving   State = "removing"
)

// Container is a container as containerd holds it at one moment.
type Container struct {
	ID     string // 64 hex digits
	Name   string
	Record project.Record
	// RecordError says why Record could not be read; project, service and
	// number are then those of the labels.
	RecordError error
	Labels      map[string]string
	ConfigHash  string
	ImageDigest string // of the image it was made from
	Image       string // containerd's name of that image
	SnapshotKey string
	Created     time.Time

	State        State
	PID          uint32 // on the host; 0 when not running
	ExitCode     int    // of the last run
	StartedAt    time.Time
	FinishedAt   time.Time
	Health       string // "", "starting", "healthy", "unhealthy"
	RestartCount int    // by policy, since the last start by hand
	OOMKilled    bool   // the last run ended so
	Stopped      bool   // by hand
}

// ours finds the containers of all projects.
const ours = `labels."` + project.LabelName + `"`

// Presume returns all containers of ours as their records have them: a run that
// has begun and not ended is taken to go on. That costs one listing and asks no
// shim, which on a busy machine take their time one after the other.
func (c *Client) Presume(ctx context.Context) ([]Container, error) {
	records, err := c.listContainers(ctx, ours)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", edge(err))
	}
	all := make([]Container, len(records))
	for i, r := range records {
		all[i] = describe(r, nil)
		if !all[i].StartedAt.IsZero() && all[i].FinishedAt.IsZero() {
			all[i].State = StateRunning
		}
	}
	return all, nil
}

// Observe returns the containers of a project, all of ours with "", sorted by
// name. It costs one listing of containers and one of tasks, however many
// there are.
func (c *Client) Observe(ctx context.Context, projectName string) ([]Container, error) {
	filter := ours
	if projectName != "" {
		filter = fmt.Sprintf("labels.%q==%q", project.LabelProject, projectName)
	}
	type listing struct {
		byID map[string]*task.Process
		err  error
	}
	tasksListed := make(chan listing, 1)
	go func() {
		byID, err := c.listTasks(ctx)
		tasksListed <- listing{byID, err}
	}()
	records, err := c.listContainers(ctx, filter)
	listed := <-tasksListed
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", edge(err))
	}
	if listed.err != nil {
		return nil, listed.err
	}
	all := make([]Container, len(records))
	for i, r := range records {
		all[i] = describe(r, listed.byID[r.ID])
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].Name != all[j].Name {
			return all[i].Name < all[j].Name
		}
		return all[i].ID < all[j].ID
	})
	return all, nil
}

// listContainers lists containers. It is a stream, which retryReads does not
// see: when containerd goes away meanwhile, it is asked once more.
func (c *Client) listContainers(ctx context.Context, filter string) ([]containers.Container, error) {
	records, err := c.containers.List(ctx, filter)
	if errors.Is(edge(err), ErrUnavailable) {
		if _, versionErr := c.conn.Version(ctx); versionErr == nil { // waits until it answers
			return c.containers.List(ctx, filter)
		}
	}
	return records, err
}

// Inspect returns one container. ErrNotFound.
func (c *Client) Inspect(ctx context.Context, id string) (Container, error) {
	r, err := c.containers.Get(ctx, id)
	if err != nil {
		return Container{}, fmt.Errorf("inspect container %s: %w", short(id), edge(err))
	}
	t, err := c.getTask(ctx, id)
	if err != nil {
		return Container{}, err
	}
	return describe(r, t), nil
}

func (c *Client) listTasks(ctx context.Context) (map[string]*task.Process, error) {
	resp, err := c.tasks.List(ctx, &tasks.ListTasksRequest{})
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", edge(err))
	}
	byID := make(map[string]*task.Process, len(resp.Tasks))
	for _, t := range resp.Tasks {
		byID[taskID(t)] = t
	}
	return byID, nil
}

// getTask returns the task of a container, nil when it has none.
func (c *Client) getTask(ctx context.Context, id string) (*task.Process, error) {
	resp, err := c.tasks.Get(ctx, &tasks.GetRequest{ContainerID: id})
	if err = edge(err); err != nil {
		if isNotFound(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("look at the task of %s: %w", short(id), err)
	}
	return resp.Process, nil
}

// taskID is the container of a task: containerd fills one field or the other.
func taskID(t *task.Process) string {
	if t.ContainerID != "" {
		return t.ContainerID
	}
	return t.ID
}

// describe makes a Container of what containerd keeps of it and of its task,
// which is nil when there is none.
func describe(r containers.Container, t *task.Process) Container {
	l := r.Labels
	c := Container{
		ID:           r.ID,
		Name:         l[project.LabelName],
		Labels:       l,
		ConfigHash:   l[project.LabelConfigHash],
		ImageDigest:  l[project.LabelImage],
		Image:        r.Image,
		SnapshotKey:  r.SnapshotKey,
		Created:      r.CreatedAt,
		ExitCode:     labelInt(l, project.LabelExitCode),
		StartedAt:    labelTime(r, project.LabelStartedAt),
		FinishedAt:   labelTime(r, project.LabelFinishedAt),
		Health:       l[project.LabelHealth],
		RestartCount: labelInt(l, project.LabelRestartCount),
		OOMKilled:    l[project.LabelOOMKilled] == "true",
		Stopped:      l[project.LabelStopped] == "true",
	}
	c.Record, c.RecordError = readRecord(r)
	if t == nil {
		c.State = stateWithoutTask(l)
		if !c.StartedAt.IsZero() && c.FinishedAt.IsZero() { // it has not ended well, as far as anybody knows
			c.ExitCode = exitUnknown
		}
		return c
	}
	c.State = taskState(t.Status, l)
	switch c.State {
	case StateRunning, StatePaused:
		c.PID = t.Pid
		c.FinishedAt = time.Time{}
	case StateExited, StateRestarting:
		if l[project.LabelFinishedAt] == "" { // nobody has settled it yet
			c.ExitCode = int(t.ExitStatus)
			c.FinishedAt = t.ExitedAt.AsTime()
		}
	}
	return c
}

// exitUnknown is the exit code of a run whose end nobody saw.
// Source: containerd, UnknownExitStatus.
const exitUnknown = 255

// stateWithoutTask is that of a container which has no task: never started,
// ended and settled, or cut off by a crash of the whole machine.
func stateWithoutTask(labels map[string]string) State {
	switch {
	case labels[project.LabelRestarting] == "true":
		return StateRestarting
	case labels[project.LabelStartedAt] == "" && labels[project.LabelFinishedAt] == "":
		return StateCreated
	}
	return StateExited
}

func taskState(s task.Status, labels map[string]string) State {
	switch s {
	case task.Status_CREATED:
		return StateCreated
	case task.Status_RUNNING:
		return StateRunning
	case task.Status_PAUSED, task.Status_PAUSING:
		return StatePaused
	case task.Status_STOPPED:
		if labels[project.LabelRestarting] == "true" {
			return StateRestarting
		}
		return StateExited
	}
	return StateDead
}

// recordType is the type of a Record among a container's extensions: JSON.
const recordType = "github.com/compose-first/compose/project.Record"

// recordExtension wraps a Record for containerd.
func recordExtension(r project.Record) (typeurl.Any, error) {
	a, err := encodeJSON(recordType, r)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return a, nil
}

// readRecord returns the Record of a container, or its copy when it is missing
// or garbled. That both are is an error, beside what the labels tell.
func readRecord(c containers.Container) (project.Record, error) {
	var r project.Record
	err := fmt.Errorf("container %s has no record", short(c.ID))
	if ext, ok := c.Extensions[project.RecordExtension]; ok {
		if err = json.Unmarshal(ext.GetValue(), &r); err == nil {
			return r, nil
		}
		err = fmt.Errorf("record of container %s is garbled: %w", short(c.ID), err)
	}
	if was, copyErr := readCopy(c.Spec); copyErr == nil && json.Unmarshal(was.Record, &r) == nil {
		return r, nil
	}
	return project.Record{
		Project: c.Labels[project.LabelProject],
		Service: c.Labels[project.LabelService],
		Number:  labelInt(c.Labels, project.LabelNumber),
		OneOff:  c.Labels[project.LabelOneOff] == "True",
	}, err
}

// labelInt reads a decimal label, 0 when it is absent or none.
func labelInt(labels map[string]string, key string) int {
	n, _ := strconv.Atoi(labels[key])
	return n
}

// labelTime reads a time label, zero when it is absent. One that is garbled
// says at least that there was such a time: before the last change.
func labelTime(r containers.Container, key string) time.Time {
	text, there := r.Labels[key]
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil && there {
		return r.UpdatedAt
	}
	return t
}

// short is the form of an id that people read.
func short(id string) string { return id[:min(12, len(id))] }
