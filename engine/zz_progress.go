package engine

import (
	"context"
	"io"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/compose-first/compose/project"
)

// Client is a connection to containerd; safe for concurrent use.
type Client struct{}

// Close ends the connection.
func (c *Client) Close() error { return nil }

// Version returns the version of the connected containerd.
func (c *Client) Version(ctx context.Context) (string, error) { panic("in progress") }

// Observe returns the containers of a project, all of ours with "", sorted by name.
func (c *Client) Observe(ctx context.Context, project string) ([]Container, error) {
	panic("in progress")
}

// Inspect returns one container. ErrNotFound.
func (c *Client) Inspect(ctx context.Context, id string) (Container, error) { panic("in progress") }

// CreateConfig is all that makes a container.
type CreateConfig struct {
	ID        string
	Name      string
	Service   types.ServiceConfig // Command and Entrypoint overrides are already in it
	Record    project.Record
	Labels    map[string]string
	Image     Image
	Netns     string  // path of a network namespace; "" is the host's
	Mounts    []Mount // outer first
	ShimGroup string  // containers of one group share a shim; "" is a shim of its own
}

// Mount is a plain OCI mount.
type Mount struct {
	Type    string // "bind", "tmpfs", …
	Source  string
	Target  string
	Options []string
}

// Create makes a container that is not started.
func (c *Client) Create(ctx context.Context, cfg CreateConfig) error { panic("in progress") }

// Start runs a created or exited container.
func (c *Client) Start(ctx context.Context, id string) error { panic("in progress") }

// Stop ends a running container. ErrNotFound if there is no such container.
func (c *Client) Stop(ctx context.Context, id string, signal string, grace time.Duration) error {
	panic("in progress")
}

// MarkStopped notes that a container was stopped by hand, or is no longer.
func (c *Client) MarkStopped(ctx context.Context, id string, stopped bool) error {
	panic("in progress")
}

// Settle writes down how a container that exited ended, and deletes its task.
func (c *Client) Settle(ctx context.Context, id string) (Container, error) { panic("in progress") }

// Kill sends a signal to a container's main process.
func (c *Client) Kill(ctx context.Context, id, signal string) error { panic("in progress") }

// Pause freezes a running container.
func (c *Client) Pause(ctx context.Context, id string) error { panic("in progress") }

// Unpause thaws a paused container.
func (c *Client) Unpause(ctx context.Context, id string) error { panic("in progress") }

// Remove deletes a container, killed first if need be.
func (c *Client) Remove(ctx context.Context, id string) error { panic("in progress") }

// Wait returns the exit code once a running container ends.
func (c *Client) Wait(ctx context.Context, id string) (exitCode int, err error) { panic("in progress") }

// SetLabels merges labels into those of a container; "" deletes one.
func (c *Client) SetLabels(ctx context.Context, id string, labels map[string]string) error {
	panic("in progress")
}

// Size is that of a terminal, in characters.
type Size struct{ Width, Height uint16 }

// ExecConfig is a further process in a running container.
type ExecConfig struct {
	Args       []string
	Env        []string // KEY=value, after the container's own
	User       string   // "" is the container's
	WorkingDir string   // "" is the container's
	TTY        bool
	Privileged bool
	Detach     bool
	Stdin      io.Reader // nil: at end of file
	Stdout     io.Writer
	Stderr     io.Writer // not with TTY
	Resize     <-chan Size
}

// Exec runs a process in a running container and returns its exit code.
func (c *Client) Exec(ctx context.Context, id string, cfg ExecConfig) (exitCode int, err error) {
	panic("in progress")
}

// AttachConfig joins the caller's terminal or pipes to a container.
type AttachConfig struct {
	Stdin      io.Reader // nil: none
	CloseStdin bool      // the container sees end of file when Stdin ends
	Stdout     io.Writer
	Stderr     io.Writer
	Since      time.Time // output older than this is not shown; zero: all
	Resize     <-chan Size
}

// Attach copies input to a container and its output from the log, until it exits or ctx ends.
func (c *Client) Attach(ctx context.Context, id string, cfg AttachConfig) error { panic("in progress") }

// LogOptions choose lines of a container's log.
type LogOptions struct {
	Since, Until time.Time // zero: no bound
	Tail         int       // last lines; -1: all
	Follow       bool
}

// EventType names what happened to a container.
type EventType string

// The events.
const (
	EventCreate  EventType = "create"
	EventStart   EventType = "start"
	EventDie     EventType = "die"
	EventOOM     EventType = "oom"
	EventPause   EventType = "pause"
	EventUnpause EventType = "unpause"
	EventUpdate  EventType = "update"  // labels changed, health among them
	EventDestroy EventType = "destroy" // the container is gone
	EventExecDie EventType = "exec_die"
)

// Event is one thing that happened to a container of ours.
type Event struct {
	Time     time.Time
	Type     EventType
	ID       string            // container
	Labels   map[string]string // as last known; nil after destroy of one never seen
	ExitCode int               // of die
	PID      uint32            // of start and die
}

// Events follows what happens to a project's containers, all of ours with "".
func (c *Client) Events(ctx context.Context, project string) (<-chan Event, <-chan error) {
	panic("in progress")
}

// Image is an image in containerd, for one platform.
type Image struct {
	Name    string // containerd's: normalised, "docker.io/library/redis:7"
	Digest  string // of the index or manifest that the name points at
	ChainID string // of its unpacked layers: the snapshot's key
	Config  ImageConfig
	Created time.Time
	Size    int64             // bytes of content: manifests, config, compressed layers
	Labels  map[string]string // containerd's, not the config's
}

// ImageConfig is an image's configuration.
type ImageConfig struct {
	ocispec.Image
	Healthcheck *ImageHealth
	Shell       []string
}

// ImageHealth is a HEALTHCHECK instruction, durations as in the image.
type ImageHealth struct {
	Test          []string
	Interval      time.Duration
	Timeout       time.Duration
	StartPeriod   time.Duration
	StartInterval time.Duration
	Retries       int
}

// Images lists the images, sorted by name.
func (c *Client) Images(ctx context.Context) ([]Image, error) { panic("in progress") }

// ResolveImage returns the local image that ref names, for a platform ("" is the host's). ErrNotFound.
func (c *Client) ResolveImage(ctx context.Context, ref string, platform string) (Image, error) {
	panic("in progress")
}

// MountImage mounts an image's files read-only at a temporary path until release is called.
func (c *Client) MountImage(ctx context.Context, img Image) (path string, release func() error, err error) {
	panic("in progress")
}

// PullOptions are those of Pull.
type PullOptions struct {
	Platform string // "" is the host's
	Progress func(PullProgress)
}

// PullProgress is the state of one part of a pull.
type PullProgress struct {
	Ref    string
	Layer  string // short digest, "" for the image as a whole
	Status string // "resolving", "waiting", "downloading", "unpacking", "exists", "done"
	Offset int64  // bytes
	Total  int64  // bytes; 0: not known
}

// Pull fetches and unpacks an image.
func (c *Client) Pull(ctx context.Context, ref string, o PullOptions) (Image, error) {
	panic("in progress")
}

// RemoveImage deletes an image's name, and its content with the last one. ErrNotFound, ErrInUse.
func (c *Client) RemoveImage(ctx context.Context, ref string) error { panic("in progress") }

// Load imports a docker-save or OCI archive, and returns the names of its images.
func (c *Client) Load(ctx context.Context, r io.Reader) ([]string, error) { panic("in progress") }
