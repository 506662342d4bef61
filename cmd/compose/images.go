package main

import (
	"fmt"
	"os"
	"sync"

	"github.com/compose-first/compose/build"
	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/host"
	"github.com/compose-first/compose/internal/escape"
	"github.com/compose-first/compose/internal/progress"
	"github.com/compose-first/compose/project"
)

// imageHost are the options of a host whose pulls and builds are shown.
func (a *app) imageHost(p *project.Project, o imageOptions) host.Options {
	var h host.Options
	if !o.quietPull {
		h.Pulling = a.showPull
	}
	if !o.quietBuild {
		h.Building = (&buildLog{app: a, project: p}).show
	}
	return h
}

// layerTexts are the words for the states of a layer.
var layerTexts = map[string]string{
	"resolving": "Resolving", "waiting": "Waiting", "downloading": "Downloading",
	"unpacking": "Extracting", "exists": "Already exists", "done": "Pull complete",
}

// showPull shows a layer of an image that is being pulled.
func (a *app) showPull(p engine.PullProgress) {
	d := a.shown()
	if p.Layer == "" || d == nil {
		return
	}
	e := progress.Event{
		ID: p.Layer, ParentID: "Image " + p.Ref, Status: progress.Working,
		Text: layerTexts[p.Status], Current: p.Offset, Total: p.Total,
	}
	if p.Status == "done" || p.Status == "exists" {
		e.Status = progress.Done
	}
	d.Emit(e)
}

// buildLog writes the log of builds: on standard output, each line with the
// service it is of; on a terminal the step under way is shown instead.
type buildLog struct {
	app     *app
	project *project.Project

	mu    sync.Mutex
	names map[string]string // of steps, by id
}

func (b *buildLog) show(e build.Event) {
	a := b.app
	d := a.shown()
	if d == nil {
		return
	}
	if a.mode == progress.TTY && os.Getenv("BUILDKIT_PROGRESS") != "plain" {
		if e.State == build.Started || e.State == build.Progressed {
			d.Emit(progress.Event{
				ID: "Image " + b.project.ImageName(e.Service), Status: progress.Working,
				Text: "Building", Details: b.name(e), Current: e.Current, Total: e.Total,
			})
		}
		return
	}
	if line := b.line(e); line != "" {
		d.Write(func() { fmt.Fprintln(a.out, escape.Line(line)) })
	}
}

// name is what a step does; events after the first know its id alone.
func (b *buildLog) name(e build.Event) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.names == nil {
		b.names = map[string]string{}
	}
	if e.Name != "" {
		b.names[e.Step] = e.Name
	}
	return b.names[e.Step]
}

// line is what the log says of an event, "" when nothing.
func (b *buildLog) line(e build.Event) string {
	head := "[" + e.Service + "] "
	name := b.name(e)
	switch e.State {
	case build.Started:
		return head + name
	case build.Cached:
		return head + "CACHED " + name
	case build.Done:
		return head + fmt.Sprintf("DONE %.1fs %s", e.Elapsed.Seconds(), name)
	case build.Failed:
		return head + "ERROR " + name
	case build.Logged:
		return head + "  " + e.Line
	case build.Warned:
		return head + "WARN " + e.Line
	}
	return ""
}
