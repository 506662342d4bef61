// Package build makes the images that a project builds, through BuildKit. The
// result is in containerd's image store at once: BuildKit's worker uses the
// namespace that the containers use.
//
// The caller gives plain requests, which FromProject can make, and gets
// digests, events for its display and errors that show the instruction at
// fault. Where the daemon comes from is the caller's business. Read build.go
// first, then solve.go.
package build

import (
	"context"
	"errors"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/go-digest"

	"github.com/compose-first/compose/project"
)

// Request is one image to build.
type Request struct {
	Service    string            // shown in events and errors
	Image      string            // name of the image, as the user writes it
	Tags       []string          // further names, besides Config.Tags
	Config     types.BuildConfig // paths are absolute or relative to ProjectDir
	ProjectDir string

	NoCache, Pull bool              // besides Config's own
	Args          map[string]string // from the command line; these win over Config.Args
	Labels        map[string]string // of the project; the user's in Config.Labels win
	Environment   map[string]string // the project's: values of bare args, and proxy settings
	Secrets       []Secret          // those that Config.Secrets names
	Platform      string            // the service's platform; "" is the builder's
}

// Secret is a build secret: ID is its name in the Dockerfile, its content is
// in File, a host path, or, where File is "", in Content.
type Secret struct {
	ID      string
	File    string
	Content []byte
}

// FromProject returns the request for a service of p that has a build section.
func FromProject(p *project.Project, service string) (Request, error) {
	return Request{}, errors.New("in progress")
}

// Options are those of Build.
type Options struct {
	// Progress, when not nil, is called for each event, one at a time.
	Progress func(Event)
	// Parallel bounds the builds under way; 0: no bound.
	Parallel int
	// DockerConfigDir has the registry credentials; "": DOCKER_CONFIG, else ~/.docker.
	DockerConfigDir string
}

// State is how far a step is.
type State string

// States of a step. Logged and Progressed come between Started and its end.
const (
	Started    State = "started"
	Cached     State = "cached"
	Done       State = "done"
	Failed     State = "failed"
	Logged     State = "log"      // Line has one line of output
	Progressed State = "progress" // Current and Total have bytes
	Warned     State = "warning"  // Line has the warning
)

// Event is a change of one step of a build.
type Event struct {
	Service string
	Step    string // id of the step; the same step of two services has the same
	Name    string // "[2/3] RUN make"
	State   State
	Line    string // without line end; as the step wrote it, control characters included
	Stderr  bool
	Part    string // of what Current and Total count: a layer, a file transfer
	Current int64
	Total   int64 // 0: not known
	Time    time.Time
	Elapsed time.Duration // of a step that has ended
}

// Error is a build that failed.
type Error struct {
	Service     string
	Dockerfile  string   // as the request names it; "" when the fault is not in one
	Line        int      // from 1; 0 when not known
	Instruction string   // "RUN make"
	Output      []string // last lines of the failing step
	ExitCode    int      // of a RUN; 0 when it is not one that exited
	Err         error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Builder is a connection to a BuildKit daemon.
type Builder struct{}

// Connect connects to the BuildKit daemon at address, "unix:///…/buildkitd.sock".
func Connect(ctx context.Context, address string) (*Builder, error) {
	return nil, errors.New("in progress")
}

// Close ends the connection.
func (b *Builder) Close() error { return nil }

// Build builds the images of requests, independent ones at the same time, and
// returns the digest of each by its service. The first that fails cancels the
// others. A request whose additional_contexts name another service waits for
// that service's image. Errors are *Error where a build, not the daemon, failed.
func (b *Builder) Build(ctx context.Context, requests []Request, o Options) (map[string]digest.Digest, error) {
	return nil, errors.New("in progress")
}

// Check returns what is wrong with a request as far as can be known before the
// build: folder or Dockerfile missing, keys that exclude each other, bad names.
func Check(r Request) error { return nil }
