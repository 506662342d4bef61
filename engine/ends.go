package engine

import (
	"context"
	"log/slog"
	"slices"

	apievents "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/types/task"
)

// A shim notes the end of a container's run a moment before it tells of it, and
// ends as soon as its last task is deleted, whatever it has not told yet. So
// whoever deletes a task tells of the end first. When a shim is killed,
// containerd tells of the end, whatever the shim had already told. Each follower
// of events takes the first of a run, and what comes later is nothing new.

// tellEnd tells the followers of events of the end of a run whose task is about
// to be deleted. They find out in other ways, only later.
// Source: containerd, core/runtime/events.go, the topic.
func (c *Client) tellEnd(ctx context.Context, id string, t *task.Process) {
	if t == nil || t.Status != task.Status_STOPPED {
		return
	}
	err := c.conn.EventService().Publish(ctx, "/tasks/exit", &apievents.TaskExit{
		ContainerID: id, ID: id, Pid: t.Pid, ExitStatus: t.ExitStatus, ExitedAt: t.ExitedAt,
	})
	if err != nil {
		slog.DebugContext(ctx, "tell of a container's end", "container", id, "error", edge(err))
	}
}

// endsRemembered is how many ends of runs are remembered. Between the first and
// the last that is told of one there may be those of all others that are taken
// down together.
const endsRemembered = 1024

// end is that of one run of a container.
type end struct {
	id  string
	pid uint32
}

// endMemory knows the ends that were told of.
type endMemory struct {
	started map[string]uint32 // pid of the last run by container
	seen    map[end]bool
	order   []end // longest first
}

func newEndMemory() *endMemory {
	return &endMemory{started: map[string]uint32{}, seen: map[end]bool{}}
}

// first tells whether an event is the first of what it is about.
func (m *endMemory) first(e Event) bool {
	run := end{e.ID, e.PID}
	switch e.Type {
	case EventStart:
		m.started[e.ID] = e.PID
		m.forget(run) // of a pid that comes again
	case EventDestroy:
		delete(m.started, e.ID)
	case EventDie:
		if run.pid == 0 { // containerd could not clean up after a shim in time, and does not know
			run.pid = m.started[e.ID]
		}
		if m.seen[run] {
			return false
		}
		m.remember(run)
	}
	return true
}

func (m *endMemory) remember(run end) {
	m.seen[run] = true
	m.order = append(m.order, run)
	if len(m.order) > endsRemembered {
		delete(m.seen, m.order[0])
		m.order = m.order[1:]
	}
}

func (m *endMemory) forget(run end) {
	if m.seen[run] {
		delete(m.seen, run)
		m.order = slices.DeleteFunc(m.order, func(e end) bool { return e == run })
	}
}
