package scheduler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/compose-first/compose/project"
)

// ErrNotFound is what a Host returns, wrapped, for a container, network,
// volume or image that is not there. Steps that remove or stop a thing take it
// for success.
var ErrNotFound = errors.New("not found")

// ErrInUse is what a Host returns, wrapped, for a network, volume or image
// that something still uses. Removing such a thing is given up with a warning.
var ErrInUse = errors.New("resource is still in use")

// Host is the machine that steps act on. Every method can be repeated: what is
// done already is success. Methods are called from several goroutines at once.
type Host interface {
	// CreateNetwork makes the network of a key of the file, with its record.
	CreateNetwork(ctx context.Context, key string) error
	// ReplaceNetwork makes the network of a key anew, since its definition has
	// changed. Every container on it has been stopped, but may still exist.
	ReplaceNetwork(ctx context.Context, key string) error
	// RemoveNetwork removes a network by its full name; ErrInUse when
	// containers are on it.
	RemoveNetwork(ctx context.Context, name string) error

	// CreateVolume makes the volume of a key of the file.
	CreateVolume(ctx context.Context, key string) error
	// ReplaceVolume removes the volume of a key with its data and makes it
	// anew. Every container that mounts it has been stopped, but may still
	// exist.
	ReplaceVolume(ctx context.Context, key string) error
	// RemoveVolume removes a volume by its full name, with its data; ErrInUse
	// when a container mounts it.
	RemoveVolume(ctx context.Context, name string) error

	// PullImage fetches ref for the services named, which all use it. A
	// platform of "" is the host's.
	PullImage(ctx context.Context, ref, platform string, services []string) error
	// BuildImages builds the image that the services named share.
	BuildImages(ctx context.Context, services []string) error
	// RemoveImage removes an image by its reference; ErrInUse when a container
	// uses it.
	RemoveImage(ctx context.Context, ref string) error

	CreateContainer(ctx context.Context, c Create) error
	StartContainer(ctx context.Context, c Ref) error
	// StopContainer sends the stop signal, waits for timeout (nil: the
	// service's stop_grace_period), and kills what is left. The container is
	// marked as stopped by hand. Not running is success.
	StopContainer(ctx context.Context, c Ref, timeout *time.Duration) error
	// KillContainer sends a signal: a name with or without "SIG", or a number.
	// After SIGKILL the container has ended on return.
	KillContainer(ctx context.Context, c Ref, signal string) error
	// RemoveContainer removes a container, and with volumes also the anonymous
	// volumes that no other container mounts.
	RemoveContainer(ctx context.Context, c Ref, volumes bool) error

	// AwaitHealthy returns nil once the container is healthy. Its error is an
	// *Unhealthy when it turns unhealthy or ends.
	AwaitHealthy(ctx context.Context, c Ref) error
	// AwaitCompleted returns nil once the container has ended with code 0. Its
	// error is an *Incomplete when the code is another.
	AwaitCompleted(ctx context.Context, c Ref) error
	// AwaitReady returns nil once the container runs, and is healthy where it
	// has a check. Its error is an *Unhealthy when it cannot any more.
	AwaitReady(ctx context.Context, c Ref) error
}

// Ref names one container. ID is empty for a container that an earlier step of
// the same run created: the Host knows it by its Name. While a container is
// replaced, the old and the new one have the same name.
type Ref struct {
	Name    string // full name, "shop-web-1"
	ID      string
	Service string
	Number  int // 0 for a one-off
}

// Create says which container to create.
type Create struct {
	Service string
	Number  int
	Name    string
	// Replaces is the ID of the container that this one takes the place of, or
	// "". That container may still run.
	Replaces string
	// Inherit has the anonymous volumes that the new container mounts again, by
	// their targets.
	Inherit []project.MountInfo
	// Owners has, by service, the container whose namespaces or volumes the new
	// one uses where the file says "service:…" or volumes_from.
	Owners map[string]Ref
}

// Unhealthy is the error of waiting for a container that is unhealthy or has
// ended instead.
type Unhealthy struct {
	Container string // full name
	Exited    bool   // it has ended, with ExitCode
	ExitCode  int
	Output    string // last output of the health check, or last log lines; may be empty
}

// Error names the container and what became of it, its output after that.
func (e *Unhealthy) Error() string {
	text := fmt.Sprintf("container %s is unhealthy", e.Container)
	if e.Exited {
		text = fmt.Sprintf("container %s exited (%d)", e.Container, e.ExitCode)
	}
	return withOutput(text, e.Output)
}

// Incomplete is the error of waiting for a container to complete that ended
// with another code than 0.
type Incomplete struct {
	Service  string
	ExitCode int
	Output   string // last log lines; may be empty
}

// Error names the service and its exit code, its output after that.
func (e *Incomplete) Error() string {
	return withOutput(fmt.Sprintf("service %q didn't complete successfully: exit %d", e.Service, e.ExitCode), e.Output)
}

// withOutput adds output to text, as one line.
func withOutput(text, output string) string {
	output = strings.TrimSpace(output)
	if output == "" {
		return text
	}
	lines := strings.FieldsFunc(output, func(r rune) bool { return r == '\n' || r == '\r' })
	return text + ": " + strings.Join(lines, " | ")
}
