package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/compose-first/compose/host"
	"github.com/compose-first/compose/internal/progress"
	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

// perform does a plan's steps and shows them; with --dry-run it only shows
// them. hidden, when not nil, keeps steps off the display.
func (a *app) perform(ctx context.Context, plan scheduler.Plan, h scheduler.Host, hidden func(scheduler.Event) bool) error {
	if a.global.dryRun {
		return a.pretend(plan)
	}
	return scheduler.Run(ctx, plan, h, scheduler.RunOptions{
		Parallel: a.global.parallel,
		Notify: func(e scheduler.Event) {
			trace(e)
			d := a.shown()
			if e.Text == "" || hidden != nil && hidden(e) || d == nil {
				return
			}
			d.Emit(eventOf(e))
		},
	})
}

// trace logs how long a step took.
func trace(e scheduler.Event) {
	if e.Step != nil && e.State != scheduler.Started {
		slog.Debug("step", "step", e.Step.String(), "state", e.State, "took", e.Elapsed)
	}
}

// eventOf is a step's event as the display takes it.
func eventOf(e scheduler.Event) progress.Event {
	p := progress.Event{ID: e.ID, Text: e.Text, Status: statusOf(e.State)}
	if e.Err != nil {
		p.Details = oneLine(e.Err.Error())
	}
	return p
}

func statusOf(s scheduler.EventState) progress.Status {
	switch s {
	case scheduler.Started:
		return progress.Working
	case scheduler.Failed:
		return progress.Error
	case scheduler.Warned, scheduler.Skipped:
		return progress.Warning
	}
	return progress.Done
}

// oneLine is the first line of a text of several.
func oneLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

// pretend shows a plan instead of doing it: its lines on standard output, and
// on standard error what the display of the real run would end with.
func (a *app) pretend(plan scheduler.Plan) error {
	a.write(func() { fmt.Fprint(a.out, plan.String()) })
	d := a.shown()
	if d == nil {
		return nil
	}
	for _, n := range plan.Notes {
		d.Emit(progress.Event{ID: n.ID, Text: n.Text, Status: progress.Done})
	}
	for _, r := range plan.Unchanged {
		d.Emit(progress.Event{ID: "Container " + r.Name, Text: "Running", Status: progress.Done})
	}
	for _, n := range plan.Nodes {
		id, doing, done := n.Step.Progress()
		if doing != "" {
			d.Emit(progress.Event{ID: id, Text: doing, Status: progress.Working})
		}
		if done != "" {
			d.Emit(progress.Event{ID: id, Text: done, Status: progress.Done})
		}
	}
	return nil
}

// tell passes the warnings of a plan on.
func (a *app) tell(warnings []scheduler.Warning) {
	for _, w := range warnings {
		if w.Info {
			a.info("%s", w.Text)
		} else {
			a.warn("%s", w.Text)
		}
	}
}

// change is a command that plans for what exists, and does it.
type change struct {
	operation string   // for the display: "stop"
	services  []string // named on the command line
	starts    bool     // it may start containers
	unlocked  bool     // it must not wait for another command on the project
	reclaim   bool     // the disk space of what it removed is to be free at its end
	plan      func(p *project.Project, live scheduler.Live) (scheduler.Plan, []scheduler.Warning, error)
	// empty, when not nil, is called instead of a run when there is nothing to do.
	empty func()
	// confirm, when not nil, may call the run off.
	confirm func(scheduler.Plan) (bool, error)
}

// carryOut runs a change.
func (a *app) carryOut(ctx context.Context, c change) error {
	a.lookAhead(ctx)
	name, p, err := a.target(ctx, c.services...)
	if err != nil {
		return err
	}
	r, err := a.roomsFor(ctx, c.starts)
	if err != nil {
		return err
	}
	if !c.unlocked {
		if _, err := a.lockProject(ctx, r, name); err != nil {
			return err
		}
	}
	live, containers, err := r.machine.Live(ctx, name, p)
	if err != nil {
		return err
	}
	plan, warnings, err := c.plan(p, live)
	if err != nil {
		return err
	}
	a.tell(warnings)
	if plan.Empty() && c.empty != nil {
		c.empty()
		return nil
	}
	if c.confirm != nil {
		if yes, err := c.confirm(plan); err != nil || !yes {
			return err
		}
	}
	a.show(c.operation)
	if err := a.perform(ctx, plan, a.hostFor(r, p, containers, host.Options{}), nil); err != nil {
		return err
	}
	if c.reclaim && !a.global.dryRun {
		if err := r.engine.Reclaim(ctx); err != nil {
			return err
		}
	}
	return a.sync(ctx, r)
}

func (a *app) roomsFor(ctx context.Context, starts bool) (*rooms, error) {
	if starts {
		return a.startUp(ctx)
	}
	return a.use(ctx)
}
