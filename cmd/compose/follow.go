package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/logfile"
	"github.com/compose-first/compose/project"
)

// follower prints the output of a project's containers as it comes, of those
// too that are made or started meanwhile, and tells how each of them ends.
type follower struct {
	root    layout.Root
	printer *logPrinter
	inspect func(ctx context.Context, id string) (engine.Container, error)
	observe func(ctx context.Context) ([]engine.Container, error) // of the project

	// tracked are the containers whose end is reported; attached those of them
	// whose output is printed, and for which run goes on.
	tracked  func(engine.Container) bool
	attached func(engine.Container) bool
	// first is what is read of a container that is there from the beginning,
	// later of one that comes afterwards.
	first, later logfile.Options
	// exited is called, never twice at once, when a container has ended and
	// its output has been printed. It may be nil.
	exited func(c engine.Container, code int, restarting bool)

	begun   time.Time
	streams map[string]*stream // by container ID; only run touches it
	ends    chan *stream
	readers sync.WaitGroup
}

// stream is a container being followed.
type stream struct {
	container engine.Container
	running   atomic.Bool // asked by the reader; set by run
	shown     bool        // its output is printed
	reading   bool        // a reader is under way
	code      int         // of an exit not reported yet; -1: none
	gone      bool
	ongoing   bool      // it runs, or will again
	reported  time.Time // start of the last run whose end was reported
	last      time.Time // of the last entry printed; the reader's own while reading
}

// run prints until no attached container runs or is about to, once settled is
// closed: until then more may come. It ends without error when ctx ends.
// containers are those there were just after the events began.
func (f *follower) run(ctx context.Context, containers []engine.Container, events <-chan engine.Event, errs <-chan error, settled <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer f.readers.Wait()
	defer cancel()
	f.begun, f.streams, f.ends = time.Now(), map[string]*stream{}, make(chan *stream)
	for _, c := range containers {
		f.begin(ctx, c, f.first)
	}
	for {
		if settled == nil && !f.ongoing() {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-settled:
			settled = nil
			if err := f.catchUp(ctx); err != nil {
				return err
			}
		case s := <-f.ends:
			s.reading = false
			f.report(ctx, s)
			if s.running.Load() { // started again while the last lines were read
				f.resume(ctx, s)
			}
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			f.event(ctx, e)
		case err := <-errs:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("follow events: %w", err)
		}
	}
}

// ongoing reports whether a container is left to wait for.
func (f *follower) ongoing() bool {
	for _, s := range f.streams {
		if s.reading || s.shown && s.ongoing {
			return true
		}
	}
	return false
}

// begin follows a container.
func (f *follower) begin(ctx context.Context, c engine.Container, o logfile.Options) *stream {
	if !f.tracked(c) {
		return nil
	}
	s := &stream{container: c, shown: f.attached(c), code: -1}
	f.streams[c.ID] = s
	if s.shown {
		f.printer.announce(shortName(c), c.Record.Service)
	}
	s.ongoing = c.State == engine.StateRunning || c.State == engine.StatePaused || c.State == engine.StateRestarting
	s.running.Store(s.ongoing)
	f.read(ctx, s, o)
	return s
}

// read prints what a container has written and, while it runs, writes.
func (f *follower) read(ctx context.Context, s *stream, o logfile.Options) {
	if !s.shown || s.reading {
		return
	}
	if s.container.Record.Log.Driver == "none" {
		return
	}
	s.reading = true
	o.Follow, o.Lines = true, true
	o.Done = func() bool {
		return !s.running.Load() && logfile.Drained(f.root.Streams(s.container.ID))
	}
	f.readers.Add(1)
	go func() {
		defer f.readers.Done()
		_ = logfile.Read(ctx, f.root.ContainerLog(s.container.ID), o, func(e logfile.Entry) error {
			s.last = e.Time
			f.printer.line(shortName(s.container), s.container.Record.Service, e.Stream, e.Time, string(e.Text))
			return nil
		})
		select {
		case f.ends <- s:
		case <-ctx.Done():
		}
	}()
}

// event takes note of what happened to a container.
func (f *follower) event(ctx context.Context, e engine.Event) {
	s := f.streams[e.ID]
	switch e.Type {
	case engine.EventCreate, engine.EventStart:
		f.started(ctx, e, s)
	case engine.EventDie:
		if s != nil {
			s.code = e.ExitCode
			s.running.Store(false)
			if !s.reading {
				f.report(ctx, s)
			}
		}
	case engine.EventDestroy:
		if s != nil {
			s.gone, s.ongoing = true, false
			s.running.Store(false)
		}
	}
}

func (f *follower) started(ctx context.Context, e engine.Event, s *stream) {
	if s == nil {
		c, err := f.inspect(ctx, e.ID)
		if err != nil { // gone again
			return
		}
		if s = f.begin(ctx, c, f.later); s != nil {
			f.replaces(s)
		}
		if s == nil {
			return
		}
	}
	if e.Type != engine.EventStart {
		return
	}
	if s.code >= 0 { // started again before its last output was read
		f.report(ctx, s)
	}
	f.runs(ctx, s)
}

// runs takes note that a container runs.
func (f *follower) runs(ctx context.Context, s *stream) {
	s.ongoing = true
	s.running.Store(true)
	f.resume(ctx, s)
}

// resume goes on reading a container's log after what was printed of it.
func (f *follower) resume(ctx context.Context, s *stream) {
	if s.reading {
		return
	}
	o := f.later
	if !s.last.IsZero() {
		o.Tail, o.Since = -1, s.last.Add(1)
	}
	f.read(ctx, s, o)
}

// catchUp takes note of what has happened and whose events are still on their
// way: without it, containers that ended at once would be missed.
func (f *follower) catchUp(ctx context.Context) error {
	containers, err := f.observe(ctx)
	if err != nil {
		return err
	}
	for _, c := range containers {
		s := f.streams[c.ID]
		if s == nil {
			if s = f.begin(ctx, c, f.later); s == nil {
				continue
			}
			f.replaces(s)
		}
		switch {
		case s.ongoing:
		case alive(c.State):
			f.runs(ctx, s)
		case c.State == engine.StateExited && s.code < 0 && c.StartedAt.After(f.begun) && !c.StartedAt.Equal(s.reported):
			s.code = c.ExitCode
			f.resume(ctx, s)
			if !s.reading {
				f.report(ctx, s)
			}
		}
	}
	return nil
}

// replaces tells that a container has taken the place of another.
func (f *follower) replaces(s *stream) {
	old := f.streams[s.container.Labels[project.LabelReplace]]
	if old != nil && old.shown {
		f.printer.event("%s has been recreated", shortName(old.container))
	}
}

// report tells that a container has ended.
func (f *follower) report(ctx context.Context, s *stream) {
	if s.code < 0 {
		return
	}
	code := s.code
	s.code = -1
	if c, err := f.inspect(ctx, s.container.ID); err == nil {
		s.container = c
		if c.StartedAt.Equal(s.reported) {
			return // catchUp was faster than the event
		}
		s.reported = c.StartedAt
	} else {
		s.gone = true
	}
	s.ongoing = !s.gone && restarts(s.container, code)
	if s.shown {
		suffix := ""
		if s.ongoing {
			suffix = " (restarting)"
		}
		f.printer.event("%s exited with code %d%s", shortName(s.container), code, suffix)
	}
	if f.exited != nil {
		f.exited(s.container, code, s.ongoing)
	}
}

// restarts reports whether a container's policy starts it again after it
// ended with code.
func restarts(c engine.Container, code int) bool {
	return !c.Stopped && c.Record.Restart.Again(code, c.RestartCount)
}

// shortName is the container's name as log lines begin with it: without the
// project, unless the name was chosen in the file.
func shortName(c engine.Container) string {
	service, number := c.Record.Service, c.Record.Number
	for _, sep := range []string{"-", "_"} {
		if c.Name == fmt.Sprint(c.Record.Project, sep, service, sep, number) {
			return fmt.Sprint(service, sep, number)
		}
	}
	return c.Name
}
