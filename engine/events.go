package engine

import (
	"context"
	"fmt"
	"time"

	apievents "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/typeurl/v2"

	"github.com/compose-first/compose/project"
)

// EventType names what happened to a container, in Docker's words.
type EventType string

// The events.
const (
	EventCreate  EventType = "create"
	EventStart   EventType = "start"
	EventDie     EventType = "die"
	EventOOM     EventType = "oom"
	EventPause   EventType = "pause"
	EventUnpause EventType = "unpause"
	EventUpdate  EventType = "update"   // labels changed, health among them
	EventDestroy EventType = "destroy"  // the container is gone
	EventExecDie EventType = "exec_die" // a process started by Exec ended
)

// Event is one thing that happened to a container of ours.
type Event struct {
	Time     time.Time
	Type     EventType
	ID       string            // of the container
	Labels   map[string]string // as last known
	ExitCode int               // of die and exec_die
	PID      uint32            // of start, die and exec_die, on the host
}

// Events follows what happens to a project's containers, to all of ours with
// "", until ctx ends. The events stop with one error on the second channel
// when containerd goes away; what happened meanwhile is for the caller to
// look up.
func (c *Client) Events(ctx context.Context, projectName string) (<-chan Event, <-chan error) {
	out, errs := make(chan Event), make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	once := context.WithValue(ctx, noRetry{}, true) // the stream ends with its connection, and says so at once
	envelopes, failed := c.conn.Subscribe(ctx, `namespace==`+Namespace+`,topic~="^/(containers|tasks)/"`)
	go func() {
		defer cancel()
		defer close(errs)
		defer close(out)
		known := labelMemory{client: c, labels: map[string]map[string]string{}}
		told := newEndMemory()
		for {
			select {
			case envelope := <-envelopes:
				if envelope == nil {
					continue
				}
				e, ok := eventOf(envelope)
				if !ok || !told.first(e) || !known.complete(once, &e, projectName) {
					continue
				}
				select {
				case out <- e:
				case <-ctx.Done():
					return
				}
			case err := <-failed:
				if err != nil && ctx.Err() == nil {
					errs <- fmt.Errorf("follow events: %w", edge(err))
				}
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, errs
}

// eventOf translates an event of containerd, and tells whether it is one of those we know.
func eventOf(envelope *events.Envelope) (Event, bool) {
	payload, err := typeurl.UnmarshalAny(envelope.Event)
	if err != nil {
		return Event{}, false
	}
	e := Event{Time: envelope.Timestamp}
	switch p := payload.(type) {
	case *apievents.ContainerCreate:
		e.Type, e.ID = EventCreate, p.ID
	case *apievents.ContainerUpdate:
		e.Type, e.ID, e.Labels = EventUpdate, p.ID, p.Labels
	case *apievents.ContainerDelete:
		e.Type, e.ID = EventDestroy, p.ID
	case *apievents.TaskStart:
		e.Type, e.ID, e.PID = EventStart, p.ContainerID, p.Pid
	case *apievents.TaskExit:
		e.Type, e.ID, e.PID, e.ExitCode = EventDie, p.ContainerID, p.Pid, int(p.ExitStatus)
		if p.ID != p.ContainerID {
			e.Type = EventExecDie
		}
	case *apievents.TaskOOM:
		e.Type, e.ID = EventOOM, p.ContainerID
	case *apievents.TaskPaused:
		e.Type, e.ID = EventPause, p.ContainerID
	case *apievents.TaskResumed:
		e.Type, e.ID = EventUnpause, p.ContainerID
	default:
		return Event{}, false
	}
	return e, true
}

// labelMemory knows the labels of the containers that events were about: most
// events carry none, and after a container's end there is nobody to ask.
type labelMemory struct {
	client *Client
	labels map[string]map[string]string // by container; nil for those that are not ours
	gone   []string                     // containers of labels that are gone, longest first
}

// remembered is how many containers that are gone are remembered: the shim
// tells of an end in its own time, which may be after that of the container.
const remembered = 256

// complete fills in the labels of an event, and tells whether its container is
// one of the project's.
func (m *labelMemory) complete(ctx context.Context, e *Event, projectName string) bool {
	labels, known := m.labels[e.ID]
	switch {
	case e.Labels != nil:
		labels = e.Labels
	case !known && e.Type != EventDestroy:
		if r, err := m.client.containers.Get(ctx, e.ID); err == nil {
			labels = r.Labels
		}
	}
	m.labels[e.ID] = labels
	if e.Type == EventDestroy {
		m.forgetLater(e.ID)
	}
	e.Labels = labels
	if labels == nil && e.Type == EventDestroy { // of one never seen: whose it was, nobody knows
		return projectName == ""
	}
	if projectName == "" {
		return labels != nil // also of one whose labels are garbled
	}
	return labels[project.LabelName] != "" && labels[project.LabelProject] == projectName
}

// forgetLater drops the labels of containers that have been gone for longest.
func (m *labelMemory) forgetLater(id string) {
	m.gone = append(m.gone, id)
	for len(m.gone) > remembered {
		delete(m.labels, m.gone[0])
		m.gone = m.gone[1:]
	}
}
