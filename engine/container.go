package engine

import (
	"time"

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
	StateDead       State = "dead"
	StateRemoving   State = "removing"
)

// Container is a container as containerd holds it at one moment.
type Container struct {
	ID     string // 64 hex digits
	Name   string
	Record project.Record
	// RecordError says why Record could not be read; the labels still tell
	// project, service and number.
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
