package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/opencontainers/image-spec/specs-go/v1"
)

// PullOptions are those of Pull.
type PullOptions struct {
	Platform string             // "" is the host's
	Progress func(PullProgress) // nil: nobody looks; called from several goroutines
	Labels   map[string]string  // put on the image in containerd
}

// PullProgress is the state of one part of a pull.
type PullProgress struct {
	Ref    string // as given to Pull
	Layer  string // 12 digits of its digest; "" for the image as a whole
	Status string // "resolving", "waiting", "downloading", "unpacking", "exists", "done"
	Offset int64  // bytes
	Total  int64  // bytes; 0: not known
}

// Pull fetches an image from its registry, unpacks its layers while they come,
// and returns it. Several callers that want the same image at the same time
// share one pull, whose progress the first of them is shown.
// ErrNotFound when the registry has no such image.
func (c *Client) Pull(ctx context.Context, ref string, o PullOptions) (Image, error) {
	name, err := NormalizeImage(ref)
	if err != nil {
		return Image{}, err
	}
	if o.Progress == nil {
		o.Progress = func(PullProgress) {}
	}
	for {
		mine, err := c.pulls.once(ctx, name+" "+o.Platform, func() error { return c.pull(ctx, ref, name, o) })
		if !mine && ctx.Err() == nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
			continue // whoever pulled gave up; we have not
		}
		if err != nil {
			return Image{}, fmt.Errorf("pull %s: %w", ref, err)
		}
		o.Progress(PullProgress{Ref: ref, Status: "done"})
		return c.ResolveImage(ctx, ref, o.Platform)
	}
}

func (c *Client) pull(ctx context.Context, ref, name string, o PullOptions) error {
	matcher, err := platformMatcher(o.Platform)
	if err != nil {
		return err
	}
	ctx, done, err := c.leaseImages(ctx)
	if err != nil {
		return err
	}
	defer done()
	o.Progress(PullProgress{Ref: ref, Status: "resolving"})
	meter := &pullMeter{ref: ref, show: o.Progress}
	_, err = c.conn.Pull(ctx, name,
		containerd.WithPullUnpack,
		containerd.WithPullSnapshotter(c.cfg.Snapshotter),
		containerd.WithPlatformMatcher(matcher),
		containerd.WithResolver(meteredResolver{c.resolver(ctx), meter}),
		containerd.WithImageHandlerWrapper(meter.watch),
		containerd.WithPullLabels(o.Labels),
		containerd.WithUnpackOpts([]containerd.UnpackOpt{containerd.WithUnpackDuplicationSuppressor(&c.pulls.layers)}),
	)
	if err != nil {
		return edge(err)
	}
	meter.finish()
	return nil
}

// watch makes the meter learn the layers of an image as its manifest is read.
func (m *pullMeter) watch(next images.Handler) images.Handler {
	return images.HandlerFunc(func(ctx context.Context, d v1.Descriptor) ([]v1.Descriptor, error) {
		children, err := next.Handle(ctx, d)
		if err == nil && images.IsManifestType(d.MediaType) {
			for _, child := range children {
				if images.IsLayerType(child.MediaType) {
					m.expect(child)
				}
			}
		}
		return children, err
	})
}

// pulls are the pulls under way.
type pulls struct {
	mu     sync.Mutex // guards under
	under  map[string]*pullResult
	layers keyedLock // digests of layers that several images may share
}

type pullResult struct {
	done chan struct{} // closed when err is set
	err  error
}

// once runs act unless somebody does already under the same key, and returns
// how it ended; mine tells whether it was this call that ran it.
func (p *pulls) once(ctx context.Context, key string, act func() error) (mine bool, err error) {
	p.mu.Lock()
	if r, ok := p.under[key]; ok {
		p.mu.Unlock()
		select {
		case <-r.done:
			return false, r.err
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	if p.under == nil {
		p.under = map[string]*pullResult{}
	}
	r := &pullResult{done: make(chan struct{})}
	p.under[key] = r
	p.mu.Unlock()

	r.err = act()
	p.mu.Lock()
	delete(p.under, key)
	p.mu.Unlock()
	close(r.done)
	return true, r.err
}

// keyedLock is a lock for each key. The zero value is ready.
type keyedLock struct {
	mu   sync.Mutex // guards held
	held map[string]chan struct{}
}

// Lock takes the lock of key, or returns ctx's error.
func (l *keyedLock) Lock(ctx context.Context, key string) error {
	for {
		l.mu.Lock()
		taken, ok := l.held[key]
		if !ok {
			if l.held == nil {
				l.held = map[string]chan struct{}{}
			}
			l.held[key] = make(chan struct{})
			l.mu.Unlock()
			return nil
		}
		l.mu.Unlock()
		select {
		case <-taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Unlock gives the lock of key back.
func (l *keyedLock) Unlock(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if taken, ok := l.held[key]; ok {
		delete(l.held, key)
		close(taken)
	}
}
