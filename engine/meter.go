package engine

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// meterStep is how often the progress of one layer is shown at most.
const meterStep = 100 * time.Millisecond

// pullMeter shows what a pull does by looking at what it reads.
type pullMeter struct {
	ref  string
	show func(PullProgress)

	mu     sync.Mutex // guards layers and order
	layers map[string]*layerMeter
	order  []string
}

// layerMeter is the state of a layer; its meter's lock guards it.
type layerMeter struct {
	total, offset int64
	started       bool
	shown         time.Time
}

// expect notes a layer that the image has.
func (m *pullMeter) expect(d ocispec.Descriptor) {
	id := short(d.Digest.Encoded())
	m.mu.Lock()
	_, known := m.layers[id]
	if !known {
		if m.layers == nil {
			m.layers = map[string]*layerMeter{}
		}
		m.layers[id] = &layerMeter{total: d.Size}
		m.order = append(m.order, id)
	}
	m.mu.Unlock()
	if !known {
		m.show(PullProgress{Ref: m.ref, Layer: id, Status: "waiting", Total: d.Size})
	}
}

// at notes how far a layer has come.
func (m *pullMeter) at(id string, offset int64) {
	m.mu.Lock()
	l, ok := m.layers[id]
	if !ok {
		m.mu.Unlock()
		return
	}
	l.offset, l.started = offset, true
	complete := l.total > 0 && offset >= l.total
	due := complete || time.Since(l.shown) >= meterStep
	if due {
		l.shown = time.Now()
	}
	p := PullProgress{Ref: m.ref, Layer: id, Status: "downloading", Offset: offset, Total: l.total}
	m.mu.Unlock()
	if !due {
		return
	}
	if complete {
		p.Status = "unpacking"
	}
	m.show(p)
}

// finish says of every layer that it is here: fetched now, or here before.
func (m *pullMeter) finish() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range m.order {
		l := m.layers[id]
		status := "exists"
		if l.started {
			status = "done"
		}
		m.show(PullProgress{Ref: m.ref, Layer: id, Status: status, Offset: l.total, Total: l.total})
	}
}

// meteredResolver is a resolver whose layers are metered as they are read.
type meteredResolver struct {
	remotes.Resolver
	meter *pullMeter
}

func (r meteredResolver) Fetcher(ctx context.Context, ref string) (remotes.Fetcher, error) {
	f, err := r.Resolver.Fetcher(ctx, ref)
	if err != nil {
		return nil, err
	}
	return remotes.FetcherFunc(func(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
		body, err := f.Fetch(ctx, d)
		if err != nil || !images.IsLayerType(d.MediaType) {
			return body, err
		}
		return meterReader(body, r.meter, short(d.Digest.Encoded())), nil
	}), nil
}

// meterReader counts what is read of a layer. It seeks where the reader does:
// that is how a broken download goes on.
func meterReader(body io.ReadCloser, m *pullMeter, layer string) io.ReadCloser {
	r := &meteredReader{ReadCloser: body, meter: m, layer: layer}
	if s, ok := body.(io.Seeker); ok {
		return &meteredSeeker{meteredReader: r, seeker: s}
	}
	return r
}

type meteredReader struct {
	io.ReadCloser
	meter  *pullMeter
	layer  string
	offset int64
}

func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.offset += int64(n)
	if n > 0 {
		r.meter.at(r.layer, r.offset)
	}
	return n, err
}

type meteredSeeker struct {
	*meteredReader
	seeker io.Seeker
}

func (s *meteredSeeker) Seek(offset int64, whence int) (int64, error) {
	at, err := s.seeker.Seek(offset, whence)
	if err == nil {
		s.offset = at
	}
	return at, err
}
