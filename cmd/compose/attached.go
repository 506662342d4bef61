package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/logfile"
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

	ends := make(chan exit, 1)
	settled, events, errs := make(chan struct{}), (<-chan engine.Event)(nil), (<-chan error)(nil)
	events, errs = u.rooms.engine.Events(followCtx, u.project.Name)
	f := u.follower(ends)
	fmt.Fprintln(u.out, "Attaching to "+strings.Join(u.attachedNames(), ", "))

	var g errgroup.Group
	g.Go(func() error { return f.run(followCtx, u.containers, events, errs, settled) })
	done := make(chan error, 1)
	go func() {
		err := u.perform(runCtx, plan, u.host, hideStarts)
		if err == nil {
			err = u.sync(runCtx, u.rooms)
		}
		if d := u.shown(); d != nil {
			d.Settle()
		}
		done <- err
	}()
	followed := make(chan error, 1)
	go func() { followed <- g.Wait() }()

	finish := func() {
		cancelFollow()
		<-followed
	}
	running := true
	for {
		select {
		case err := <-done:
			running = false
			if err != nil {
				finish()
				return err
			}
			u.release() // others may change the project while we look on
			close(settled)
		case err := <-followed:
			return err
		case e := <-ends:
			cancelRun(errStopRun)
			if running {
				<-done
			}
			fmt.Fprintln(u.status(), "Aborting on container exit...")
			err := u.stopAll(ctx, caught)
			finish()
			return errors.Join(err, exitWith(u.codeOf(ctx, e)))
		case <-caught:
			fmt.Fprintln(u.status(), "Gracefully Stopping... press Ctrl+C again to force")
			cancelRun(errStopRun)
			if running {
				<-done
			}
			err := u.stopAll(ctx, caught)
			finish()
			if err != nil {
				return &exitError{code: codeInterrupted, err: err}
			}
			return errInterrupted
		}
	}
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
	style := logStyle{color: !o.noColor && u.colors(u.out), prefix: !o.noPrefix, timestamps: o.timestamps}
	attached := u.attachedServices()
	return &follower{
		root:    u.rooms.root,
		printer: newLogPrinter(style, u.out, u.err, u.write),
		inspect: u.rooms.engine.Inspect,
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

// attachedNames are the containers whose output is printed, as their lines
// begin.
func (u *upRun) attachedNames() []string {
	var names []string
	for _, s := range u.attachedServices() {
		replicas := u.project.Replicas(s)
		if n, ok := u.options.plan.Scale[s]; ok {
			replicas = n
		}
		for number := 1; number <= replicas; number++ {
			name := fmt.Sprint(s, "-", number)
			if custom := u.project.Services[s].ContainerName; custom != "" {
				name = custom
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// hideStarts keeps the starts off the display: the containers speak for
// themselves.
func hideStarts(e scheduler.Event) bool {
	return (e.Text == "Starting" || e.Text == "Started") && e.State != scheduler.Failed
}

// stopAll stops the services named on the command line, all if none; a signal
// meanwhile kills them.
func (u *upRun) stopAll(ctx context.Context, caught <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	u.release()
	u.show("stop")
	stopped := make(chan error, 1)
	go func() { stopped <- u.end(ctx, false) }()
	select {
	case err := <-stopped:
		u.hide()
		return err
	case <-caught:
		err := u.end(ctx, true)
		cancel()
		<-stopped // its containers are gone; what it says of them does not matter
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
	return u.perform(ctx, plan, u.hostFor(u.rooms, u.project, containers, u.imageHost(u.options.images)), nil)
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
