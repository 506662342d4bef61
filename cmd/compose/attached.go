package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/logfile"
	"github.com/compose-first/compose/internal/progress"
	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

// attachOptions say what of the containers' output an attached up prints, and
// when it ends.
type attachOptions struct {
	services       []string // these alone; none: those that the file does not exclude
	noColor        bool
	noPrefix       bool
	timestamps     bool
	abortOnExit    bool
	abortOnFailure bool
	exitCodeFrom   string // service
}

// errStopRun ends a plan because the user or a container wants all to stop.
var errStopRun = errors.New("stopped")

// attached does the plan, prints what the containers say until they end, and
// stops them when a signal or a container's end says so.
func (u *upRun) attached(ctx context.Context, plan scheduler.Plan) error {
	caught, release := u.signals.take()
	defer release()
	runCtx, cancelRun := context.WithCancelCause(ctx)
	defer cancelRun(nil)
	followCtx, cancelFollow := context.WithCancel(ctx)
	defer cancelFollow()

	r := foreground{
		upRun: u, caught: caught, cancelRun: cancelRun, cancelFollow: cancelFollow,
		ends: make(chan exit, 1), settled: make(chan struct{}),
		followed: make(chan error, 1), done: make(chan error, 1),
	}
	events, errs := u.rooms.engine.Events(followCtx, u.project.Name)
	f := u.follower(r.ends)
	u.introduce(f.printer)
	go func() { r.followed <- f.run(followCtx, u.containers, events, errs, r.settled) }()
	go func(done chan<- error) { done <- u.bringUp(runCtx, plan) }(r.done)
	return r.watch(ctx)
}

// foreground is an up that has the terminal until its containers end.
type foreground struct {
	*upRun
	caught       <-chan os.Signal
	ends         chan exit     // the one that ends the whole run
	done         chan error    // the plan's end; nil after it
	settled      chan struct{} // closed at the plan's end
	followed     chan error    // the end of the output
	cancelRun    context.CancelCauseFunc
	cancelFollow context.CancelFunc
}

// watch returns when the containers have ended, or have been stopped.
func (r *foreground) watch(ctx context.Context) error {
	for {
		select {
		case err := <-r.done:
			if err != nil {
				r.cancelFollow()
				<-r.followed
				return err
			}
			r.release() // others may change the project while we look on
			r.settle()
		case err := <-r.followed:
			if r.done != nil { // its events are gone; the plan goes on all the same
				return errors.Join(<-r.done, err)
			}
			return err
		case e := <-r.ends:
			if err := r.stop(ctx, "Aborting on container exit..."); err != nil {
				return err
			}
			return exitWith(r.codeOf(ctx, e))
		case <-r.caught:
			if err := r.stop(ctx, "Gracefully Stopping... press Ctrl+C again to force"); err != nil {
				return &exitError{code: codeInterrupted, err: err}
			}
			return errInterrupted
		}
	}
}

func (r *foreground) settle() {
	r.done = nil
	close(r.settled)
}

// stop ends the plan and what it has started, and prints the last lines.
func (r *foreground) stop(ctx context.Context, reason string) error {
	r.write(func() { fmt.Fprintln(r.status(), reason) })
	r.cancelRun(errStopRun)
	if r.done != nil {
		<-r.done
		r.settle()
	}
	err := r.stopAll(ctx, r.caught)
	select {
	case <-r.followed:
	case <-time.After(lastLines):
		r.cancelFollow()
		<-r.followed
	}
	return err
}

// lastLines is how long containers that were stopped may take to have their
// last output read. What is late is in their logs.
const lastLines = time.Second

// bringUp does the plan; from then on the containers have the screen.
func (u *upRun) bringUp(ctx context.Context, plan scheduler.Plan) error {
	err := u.perform(ctx, plan, u.host, u.hideStarts)
	if err == nil {
		err = u.sync(ctx, u.rooms)
	}
	if d := u.shown(); d != nil {
		d.Settle()
	}
	return err
}

// exit is the end of a container that ends the whole run.
type exit struct {
	container engine.Container
	code      int
}

// follower prints the output of the services that are attached, and reports
// the first exit that aborts the run.
func (u *upRun) follower(ends chan<- exit) *follower {
	o := u.options.attach
	since := logfile.Options{Tail: -1, Since: time.Now()}
	style := logStyle{color: !o.noColor && u.colors(u.stdout), prefix: !o.noPrefix, timestamps: o.timestamps}
	attached := u.attachedServices()
	return &follower{
		root:    u.rooms.root,
		printer: newLogPrinter(style, u.stdout, u.stderr, u.write),
		inspect: u.rooms.engine.Inspect,
		observe: func(ctx context.Context) ([]engine.Container, error) {
			return u.rooms.engine.Observe(ctx, u.project.Name)
		},
		tracked: func(c engine.Container) bool {
			_, ok := u.project.Services[c.Record.Service]
			return ok && !c.Record.OneOff && slices.Contains(u.included(), c.Record.Service)
		},
		attached: func(c engine.Container) bool { return slices.Contains(attached, c.Record.Service) },
		first:    since,
		later:    since,
		exited: func(c engine.Container, code int, restarting bool) {
			if restarting || !o.aborts(code) {
				return
			}
			select {
			case ends <- exit{c, code}:
			default: // not the first
			}
		},
	}
}

// aborts reports whether the exit of a service's container ends the run.
func (o attachOptions) aborts(code int) bool {
	return o.abortOnExit || o.abortOnFailure && code != 0
}

// included are the services that this up is about.
func (u *upRun) included() []string {
	if u.options.plan.NoDeps && len(u.options.plan.Services) > 0 {
		return u.options.plan.Services
	}
	return u.project.WithDependencies(u.options.plan.Services...)
}

// attachedServices are those whose output is printed.
func (u *upRun) attachedServices() []string {
	o := u.options
	named := o.plan.Services
	if len(named) == 0 || o.attachDeps {
		named = u.included()
	}
	if len(o.attach.services) > 0 {
		named = o.attach.services
	}
	var services []string
	for _, s := range named {
		def := u.project.Services[s]
		if slices.Contains(o.noAttach, s) {
			continue
		}
		if def.Attach != nil && !*def.Attach && !slices.Contains(o.attach.services, s) {
			continue
		}
		services = append(services, s)
	}
	slices.Sort(services)
	return services
}

// introduce names the containers whose output is printed, as their lines begin,
// and settles in this order what their lines look like.
func (u *upRun) introduce(p *logPrinter) {
	services := map[string]string{} // by the name that lines begin with
	for _, s := range u.attachedServices() {
		for number := 1; number <= u.project.Replicas(s); number++ {
			name := shortName(engine.Container{
				Name:   u.project.ContainerName(s, number),
				Record: project.Record{Project: u.project.Name, Service: s, Number: number},
			})
			services[name] = s
		}
	}
	names := slices.Sorted(maps.Keys(services))
	for _, name := range names {
		p.announce(name, services[name])
	}
	u.write(func() { fmt.Fprintln(u.out, "Attaching to "+strings.Join(names, ", ")) })
}

// hideStarts keeps the starts off the display: the containers speak for
// themselves.
func (u *upRun) hideStarts(e scheduler.Event) bool {
	return u.mode != progress.JSON && (e.Text == "Starting" || e.Text == "Started") && e.State != scheduler.Failed
}

// stopAll stops the services named on the command line, all if none; a signal
// meanwhile kills them.
func (u *upRun) stopAll(ctx context.Context, caught <-chan os.Signal) error {
	stopping, cancel := context.WithCancel(ctx)
	defer cancel()
	u.release()
	u.show("stop")
	stopped := make(chan error, 1)
	go func() { stopped <- u.end(stopping, false) }()
	select {
	case err := <-stopped:
		u.hide()
		return err
	case <-caught:
		cancel()
		<-stopped // it says no more of containers that are killed now
		err := u.end(ctx, true)
		u.hide()
		return err
	}
}

// end stops or kills what this up is about.
func (u *upRun) end(ctx context.Context, kill bool) error {
	if !kill {
		release, err := u.lockProject(ctx, u.rooms, u.project.Name)
		if err != nil {
			return err
		}
		defer release()
	}
	live, containers, err := u.rooms.machine.Live(ctx, u.project.Name, nil)
	if err != nil {
		return err
	}
	services := u.options.plan.Services
	var plan scheduler.Plan
	if kill {
		plan, _, err = scheduler.Kill(u.project, live, scheduler.KillOptions{Services: services})
	} else {
		plan, _, err = scheduler.Stop(u.project, live, scheduler.StopOptions{Services: services, Timeout: u.options.plan.Timeout})
	}
	if err != nil {
		return err
	}
	return u.perform(ctx, plan, u.hostFor(u.rooms, u.project, containers, u.imageHost(u.project, u.options.images)), nil)
}

// codeOf is the exit code that an aborted run returns: that of the service
// asked for, else of the container that ended it.
func (u *upRun) codeOf(ctx context.Context, e exit) int {
	from := u.options.attach.exitCodeFrom
	if from == "" || e.container.Record.Service == from {
		return e.code
	}
	containers, err := u.rooms.engine.Observe(ctx, u.project.Name)
	if err != nil {
		return codeFailure
	}
	for _, c := range containers {
		if c.Record.Service == from && !c.Record.OneOff {
			return c.ExitCode
		}
	}
	return e.code
}
