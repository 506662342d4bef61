// Package build makes the images that a project builds, through BuildKit. The
// result is in containerd's image store at once: BuildKit's worker uses the
// namespace that the containers use.
//
// The caller gives plain requests, which FromProject can make, and gets
// digests, events for its display and errors that show the instruction at
// fault. Where the daemon comes from is the caller's business. Read this file
// first, then request.go and solve.go.
package build

import (
	"context"
	"errors"
	"fmt"

	buildkit "github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Options are those of Build.
type Options struct {
	// Progress, when not nil, is called for each event, one at a time.
	Progress func(Event)
	// Parallel bounds the builds under way; 0: no bound.
	Parallel int
	// DockerConfigDir has the registry credentials; "": DOCKER_CONFIG, else ~/.docker.
	DockerConfigDir string
}

// Builder is a connection to a BuildKit daemon. It may be used by several
// goroutines at once.
type Builder struct {
	client  *buildkit.Client
	address string
}

// Connect connects to the BuildKit daemon at address, "unix:///…/buildkitd.sock".
func Connect(ctx context.Context, address string) (*Builder, error) {
	c, err := buildkit.New(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("connect to buildkitd at %s: %w", address, err)
	}
	return &Builder{client: c, address: address}, nil
}

// Close ends the connection.
func (b *Builder) Close() error { return b.client.Close() }

// Build builds the images of requests, independent ones at the same time, and
// returns the digest of each by its service. The first that fails cancels the
// others. A request whose additional_contexts name another service of requests
// waits for that service's image. Errors are *Error where a build, not the
// daemon, failed.
func (b *Builder) Build(ctx context.Context, requests []Request, o Options) (map[string]digest.Digest, error) {
	after, err := order(requests)
	if err != nil {
		return nil, err
	}
	var (
		g, groupCtx = errgroup.WithContext(ctx)
		slots       = semaphore.NewWeighted(int64(max(o.Parallel, 0)))
		events      = serialise(o.Progress)
		digests     = make([]digest.Digest, len(requests))
		done        = make([]chan struct{}, len(requests))
	)
	for i := range done {
		done[i] = make(chan struct{})
	}
	for i, r := range requests {
		g.Go(func() error {
			for _, j := range after[i] {
				select {
				case <-done[j]:
				case <-groupCtx.Done():
					return context.Cause(groupCtx)
				}
			}
			if o.Parallel > 0 {
				if err := slots.Acquire(groupCtx, 1); err != nil {
					return err
				}
				defer slots.Release(1)
			}
			var err error
			if digests[i], err = b.build(groupCtx, r, o.DockerConfigDir, events); err != nil {
				return err
			}
			close(done[i]) // on success alone: nothing is built on an image that is not there
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := make(map[string]digest.Digest, len(requests))
	for i, r := range requests {
		all[r.Service] = digests[i]
	}
	return all, nil
}

// order returns, for each request, those that it waits for, by index. A cycle
// is an error that names its services.
func order(requests []Request) ([][]int, error) {
	at := make(map[string]int, len(requests))
	for i, r := range requests {
		at[r.Service] = i
	}
	after := make([][]int, len(requests))
	for i, r := range requests {
		for _, name := range r.serviceContexts() {
			if j, ok := at[name]; ok {
				after[i] = append(after[i], j)
			}
		}
	}
	var (
		state = make([]int, len(requests)) // 0 new, 1 under way, 2 good
		visit func(int) error
	)
	visit = func(i int) error {
		switch state[i] {
		case 1:
			return fmt.Errorf("service %q: build.additional_contexts lead back to itself", requests[i].Service)
		case 2:
			return nil
		}
		state[i] = 1
		for _, j := range after[i] {
			if err := visit(j); err != nil {
				return err
			}
		}
		state[i] = 2
		return nil
	}
	for i := range requests {
		if err := visit(i); err != nil {
			return nil, err
		}
	}
	return after, nil
}

// build builds one image.
func (b *Builder) build(ctx context.Context, r Request, dockerConfig string, emit func(Event)) (digest.Digest, error) {
	if err := Check(r); err != nil {
		return "", err
	}
	s, err := newSolve(r, dockerConfig)
	if err != nil {
		return "", fmt.Errorf("service %q: %w", r.Service, err)
	}
	defer s.close()
	for _, w := range s.warnings {
		emit(Event{Service: r.Service, State: Warned, Line: w})
	}
	var (
		statuses = make(chan *buildkit.SolveStatus)
		watched  = newWatch(r.Service, emit)
		seen     = make(chan struct{})
	)
	go func() {
		defer close(seen)
		for st := range statuses {
			watched.update(st)
		}
	}()
	response, err := b.client.Solve(ctx, nil, s.opt, statuses) // closes statuses
	<-seen
	if err != nil {
		return "", b.fault(ctx, r, s, watched, err)
	}
	d, err := digest.Parse(response.ExporterResponse["containerimage.digest"])
	if err != nil {
		return "", fmt.Errorf("service %q: builder returned no image: %w", r.Service, err)
	}
	return d, nil
}

// fault says what failed: the caller's context, the daemon, or the build.
func (b *Builder) fault(ctx context.Context, r Request, s *solve, w *watch, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var already *Error
	if errors.As(err, &already) {
		return err
	}
	if c := status.Code(err); c == codes.Unavailable {
		return fmt.Errorf("service %q: buildkitd at %s went away during the build: %w", r.Service, b.address, err)
	}
	return newError(r, s, w, err)
}
