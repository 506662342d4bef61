package build

import (
	"bytes"
	"strings"
	"sync"
	"time"

	buildkit "github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"
)

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
	Warned     State = "warning"  // Line has the warning; Step may be ""
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

// serialise makes progress safe to call from several builds.
func serialise(progress func(Event)) func(Event) {
	if progress == nil {
		return func(Event) {}
	}
	var mu sync.Mutex
	return func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		progress(e)
	}
}

// tailLines is how many lines of a step's output its error has.
const tailLines = 20

// maxLine is the longest line passed on, in bytes: more of one is cut off.
const maxLine = 64 << 10

// watch turns the reports of one build into events.
type watch struct {
	service string
	emit    func(Event)
	steps   map[digest.Digest]*step
	failed  *step // the first step that failed of itself
}

// step is what is known of one step.
type step struct {
	name    string
	started bool // BuildKit may begin and end a step several times: the first counts,
	ended   bool // and a failure at any time
	failed  bool
	partial [3][]byte // line under way, by stream
	tail    []string
}

func newWatch(service string, emit func(Event)) *watch {
	return &watch{service: service, emit: emit, steps: map[digest.Digest]*step{}}
}

func (w *watch) step(id digest.Digest) *step {
	s := w.steps[id]
	if s == nil {
		s = &step{}
		w.steps[id] = s
	}
	return s
}

func (w *watch) update(st *buildkit.SolveStatus) {
	for _, v := range st.Vertexes {
		w.begin(v)
	}
	for _, l := range st.Logs {
		w.log(l)
	}
	for _, p := range st.Statuses {
		w.progress(p)
	}
	for _, x := range st.Warnings {
		w.send(x.Vertex, Event{State: Warned, Line: string(x.Short), Time: time.Now()})
	}
	for _, v := range st.Vertexes { // last: what a step wrote comes before its end
		w.end(v)
	}
}

func (w *watch) send(id digest.Digest, e Event) {
	e.Service, e.Step, e.Name = w.service, id.String(), w.step(id).name
	w.emit(e)
}

func (w *watch) begin(v *buildkit.Vertex) {
	s := w.step(v.Digest)
	if v.Name != "" {
		s.name = v.Name
	}
	if v.Started == nil || s.started {
		return
	}
	s.started = true
	if !v.Cached {
		w.send(v.Digest, Event{State: Started, Time: *v.Started})
	}
}

func (w *watch) end(v *buildkit.Vertex) {
	s := w.step(v.Digest)
	if v.Completed == nil {
		return
	}
	w.flush(v.Digest, s)
	if s.ended && (v.Error == "" || s.failed) {
		return
	}
	s.ended, s.failed = true, v.Error != ""
	e := Event{State: Done, Time: *v.Completed}
	if v.Started != nil {
		e.Elapsed = v.Completed.Sub(*v.Started)
	}
	switch {
	case v.Error != "":
		e.State = Failed
		e.Line = v.Error
		if w.failed == nil && !strings.Contains(v.Error, "context canceled") {
			w.failed = s
		}
	case v.Cached:
		e.State = Cached
	}
	w.send(v.Digest, e)
}

func (w *watch) log(l *buildkit.VertexLog) {
	s := w.step(l.Vertex)
	stream := min(max(l.Stream, 0), len(s.partial)-1)
	data := l.Data
	for {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		if room := maxLine - len(s.partial[stream]); room > 0 {
			s.partial[stream] = append(s.partial[stream], line[:min(len(line), room)]...)
		}
		if !ok {
			return
		}
		w.line(l.Vertex, s, stream, l.Timestamp)
		data = rest
	}
}

// line passes on the line under way of a stream.
func (w *watch) line(id digest.Digest, s *step, stream int, at time.Time) {
	text := strings.TrimSuffix(string(s.partial[stream]), "\r")
	s.partial[stream] = s.partial[stream][:0]
	if s.tail = append(s.tail, text); len(s.tail) > tailLines {
		s.tail = s.tail[1:]
	}
	w.send(id, Event{State: Logged, Line: text, Stderr: stream == 2, Time: at})
}

// flush passes on last lines that have no line end.
func (w *watch) flush(id digest.Digest, s *step) {
	for stream := range s.partial {
		if len(s.partial[stream]) > 0 {
			w.line(id, s, stream, time.Now())
		}
	}
}

func (w *watch) progress(p *buildkit.VertexStatus) {
	w.send(p.Vertex, Event{State: Progressed, Part: p.ID, Current: p.Current, Total: p.Total, Time: p.Timestamp})
}
