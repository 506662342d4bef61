package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/logfile"
	"github.com/compose-first/compose/project"
)

// logsOptions are those of logs.
type logsOptions struct {
	follow       bool
	index        int // replica; 0 is all
	tail         string
	since, until string
	timestamps   bool
	noColor      bool
	noPrefix     bool
}

func (a *app) logsCommand() *cobra.Command {
	var o logsOptions
	c := &cobra.Command{
		Use:   "logs [OPTIONS] [SERVICE...]",
		Short: "Show the output of containers",
	}
	f := c.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "Go on with what comes")
	f.IntVar(&o.index, "index", 0, "One container of a service, by its number")
	f.StringVarP(&o.tail, "tail", "n", "all", "Last lines of each container")
	f.StringVar(&o.since, "since", "", "From this time on: RFC 3339, date, Unix seconds, or a duration before now")
	f.StringVar(&o.until, "until", "", "Up to this time")
	f.BoolVarP(&o.timestamps, "timestamps", "t", false, "Show times")
	f.BoolVar(&o.noColor, "no-color", false, "No colours")
	f.BoolVar(&o.noPrefix, "no-log-prefix", false, "No container names before the lines")
	c.RunE = func(cmd *cobra.Command, services []string) error {
		return a.logs(cmd.Context(), o, services)
	}
	return c
}

func (a *app) logs(ctx context.Context, o logsOptions, services []string) error {
	if o.index > 0 && len(services) != 1 {
		return errors.New("--index requires one service to be selected")
	}
	read, err := o.read(time.Now())
	if err != nil {
		return err
	}
	a.lookAhead(ctx)
	name, p, err := a.target(ctx, services...)
	if err != nil {
		return err
	}
	r, err := a.look(ctx)
	if err != nil || r.engine == nil {
		return err
	}
	var events <-chan engine.Event
	var errs <-chan error
	if o.follow {
		events, errs = r.engine.Events(ctx, name)
	}
	containers, err := r.engine.Observe(ctx, name)
	if err != nil {
		return err
	}
	wanted := o.wanted(p, services)
	if o.index > 0 && !slices.ContainsFunc(containers, wanted) {
		return fmt.Errorf("service %q is not running container #%d", services[0], o.index)
	}
	style := logStyle{color: !o.noColor && a.colors(a.stdout), prefix: !o.noPrefix, timestamps: o.timestamps}
	printer := newLogPrinter(style, a.stdout, a.stdout, a.write)
	a.announce(printer, containers, wanted)
	if !o.follow {
		return a.printLogs(ctx, r, printer, containers, wanted, read)
	}
	settled := make(chan struct{})
	close(settled)
	f := &follower{
		root: r.root, printer: printer, inspect: r.engine.Inspect,
		observe: func(ctx context.Context) ([]engine.Container, error) { return r.engine.Observe(ctx, name) },
		tracked: wanted, attached: wanted,
		first: read, later: logfile.Options{Tail: -1, Until: read.Until},
	}
	if err := f.run(ctx, containers, events, errs, settled); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// read is what of a log is read.
func (o logsOptions) read(now time.Time) (r logfile.Options, err error) {
	r = logfile.Options{Tail: parseTail(o.tail), Lines: true}
	if r.Since, err = parseTime(o.since, now); err != nil {
		return r, fmt.Errorf("--since: %w", err)
	}
	if r.Until, err = parseTime(o.until, now); err != nil {
		return r, fmt.Errorf("--until: %w", err)
	}
	return r, nil
}

// wanted chooses containers: not one-offs, and those of services that are not
// to be attached only by name.
func (o logsOptions) wanted(p *project.Project, services []string) func(engine.Container) bool {
	return func(c engine.Container) bool {
		service := c.Labels[project.LabelService]
		switch {
		case oneOff(c), o.index > 0 && c.Record.Number != o.index:
			return false
		case len(services) > 0:
			return slices.Contains(services, service)
		case p != nil:
			def, ok := p.Services[service]
			return ok && (def.Attach == nil || *def.Attach)
		}
		return c.Record.Attach
	}
}

// oneOff reports whether a container was made by run.
func oneOff(c engine.Container) bool { return c.Labels[project.LabelOneOff] == "True" }

// announce gives the printer all names first, so that lines are aligned, and
// tells of logs that are not kept.
func (a *app) announce(printer *logPrinter, containers []engine.Container, wanted func(engine.Container) bool) {
	for _, c := range containers {
		if !wanted(c) {
			continue
		}
		printer.announce(shortName(c), c.Record.Service)
		if c.Record.Log.Driver == "none" {
			a.warn("Can't retrieve logs for %q, its log driver is none", c.Name)
		}
	}
}

// printLogs prints the logs as they are now, one container after the other.
func (a *app) printLogs(ctx context.Context, r *rooms, printer *logPrinter, containers []engine.Container, wanted func(engine.Container) bool, o logfile.Options) error {
	for _, c := range containers {
		if !wanted(c) || c.Record.Log.Driver == "none" {
			continue
		}
		garbled := 0
		o.Garbled = func() { garbled++ }
		err := logfile.Read(ctx, r.root.ContainerLog(c.ID), o, func(e logfile.Entry) error {
			printer.line(shortName(c), c.Record.Service, e.Stream, e.Time, string(e.Text))
			return nil
		})
		if err != nil {
			return fmt.Errorf("log of %s: %w", c.Name, err)
		}
		if garbled > 0 {
			a.warn("the log of %s is garbled: %d of its lines cannot be read and are passed over", c.Name, garbled)
		}
	}
	return nil
}
