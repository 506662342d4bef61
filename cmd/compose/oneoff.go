package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/mattn/go-shellwords"
	"github.com/spf13/cobra"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/host"
	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

// runOptions are those of run.
type runOptions struct {
	plan   scheduler.Options
	images imageOptions

	detach       bool
	quiet        bool
	remove       bool
	interactive  bool
	noTTY        bool
	servicePorts bool
	useAliases   bool

	name       string
	entrypoint string
	entry      bool // --entrypoint was given
	user       string
	workdir    string
	env        []string
	envFiles   []string
	labels     []string
	publish    []string
	volumes    []string
	capAdd     []string
	capDrop    []string
}

func (a *app) runCommand() *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run [OPTIONS] SERVICE [COMMAND] [ARGS...]",
		Short: "Run a one-off command in a new container of a service",
		Args:  cobra.MinimumNArgs(1),
	}
	f := c.Flags()
	f.SetInterspersed(false)
	f.BoolVar(&o.images.build, "build", false, "Build the image first")
	f.StringArrayVar(&o.capAdd, "cap-add", nil, "Capability to add, repeatable")
	f.StringArrayVar(&o.capDrop, "cap-drop", nil, "Capability to drop, repeatable")
	f.BoolVarP(&o.detach, "detach", "d", false, "Print the ID and return")
	f.StringVar(&o.entrypoint, "entrypoint", "", "In place of the image's")
	f.StringArrayVarP(&o.env, "env", "e", nil, "KEY=VALUE, or KEY to take the project's value, repeatable")
	f.StringArrayVar(&o.envFiles, "env-from-file", nil, "File of variables, repeatable")
	f.BoolVarP(&o.interactive, "interactive", "i", true, "Keep standard input open")
	f.StringArrayVarP(&o.labels, "label", "l", nil, "KEY=VALUE, repeatable")
	f.StringVar(&o.name, "name", "", "Name of the container")
	f.BoolVar(&o.plan.NoDeps, "no-deps", false, "Do not start dependencies")
	f.BoolVarP(&o.noTTY, "no-tty", "T", false, "No terminal (default: one if standard input and output are)")
	f.BoolP("tty", "t", true, "Terminal")
	f.StringArrayVarP(&o.publish, "publish", "p", nil, "Publish this port, repeatable")
	f.BoolVarP(&o.servicePorts, "service-ports", "P", false, "Publish the service's ports")
	f.StringVar(&o.images.pull, "pull", "", "Pull policy: always, missing, never")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "No progress")
	f.BoolVar(&o.images.quietBuild, "quiet-build", false, "No build log")
	f.BoolVar(&o.images.quietPull, "quiet-pull", false, "No progress of layers")
	f.BoolVar(&o.plan.RemoveOrphans, "remove-orphans", false, "Remove containers of services that the file does not have")
	f.BoolVar(&o.remove, "rm", false, "Remove the container when it ends")
	f.BoolVar(&o.useAliases, "use-aliases", false, "Answer to the service's network aliases")
	f.StringVarP(&o.user, "user", "u", "", "User, by name or ID, and :group")
	f.StringArrayVarP(&o.volumes, "volume", "v", nil, "Further mount, repeatable")
	f.StringVarP(&o.workdir, "workdir", "w", "", "Working directory")
	hide(f, "tty")
	normalize(c, map[string]string{"no-TTY": "no-tty", "volumes": "volume"})
	c.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if err := o.check(a, cmd); err != nil {
			return err
		}
		if o.plan.IgnoreOrphans, err = a.orphanFlag(cmd, &o.plan.RemoveOrphans); err != nil {
			return err
		}
		o.noTTY = a.withoutTTY(cmd, o.noTTY, isTerminal(a.in) && isTerminal(a.stdout)) || o.detach
		if o.explicitTTY(cmd) && !o.detach && o.interactive && !isTerminal(a.in) {
			return errNoTerminal
		}
		o.entry = cmd.Flags().Changed("entrypoint")
		return a.oneOff(cmd.Context(), o, args[0], args[1:])
	}
	return c
}

func (o *runOptions) check(a *app, c *cobra.Command) error {
	switch {
	case a.global.dryRun:
		return errors.New("interactive run is not supported in dry-run mode")
	case c.Flags().Changed("tty") && c.Flags().Changed("no-tty"):
		return errors.New("--tty and --no-tty can't be used together")
	case o.servicePorts && len(o.publish) > 0:
		return errors.New("--service-ports and --publish are incompatible")
	}
	if err := checkWorkdir(o.workdir); err != nil {
		return err
	}
	for _, l := range o.labels {
		if !strings.Contains(l, "=") {
			return errors.New("label must be set as KEY=VALUE")
		}
	}
	return checkPull(o.images.pull, runPolicies)
}

func (o *runOptions) explicitTTY(c *cobra.Command) bool {
	return c.Flags().Changed("tty") && c.Flags().Lookup("tty").Value.String() == "true"
}

// oneOff runs a command in a new container of a service.
func (a *app) oneOff(ctx context.Context, o runOptions, service string, args []string) error {
	p, err := a.load(ctx, service)
	if err != nil {
		return err
	}
	if p, err = o.adapt(p, service, args); err != nil {
		return err
	}
	r, err := a.startUp(ctx)
	if err != nil {
		return err
	}
	release, err := a.lockProject(ctx, r, p.Name)
	if err != nil {
		return err
	}
	if !o.quiet {
		a.show("run")
	}
	h, err := a.prepareOneOff(ctx, r, p, o, service)
	if err != nil {
		return err
	}
	ref, err := a.createOneOff(ctx, r, p, h, o, service)
	if err != nil {
		return err
	}
	a.hide()
	release()
	one := &oneOffRun{app: a, rooms: r, host: h, ref: ref, options: o}
	if o.detach {
		return one.detached(ctx)
	}
	return one.foreground(ctx)
}

// prepareOneOff makes what the container needs: images, networks, volumes, and
// its dependencies, started.
func (a *app) prepareOneOff(ctx context.Context, r *rooms, p *project.Project, o runOptions, service string) (*host.Host, error) {
	o.plan.Services = []string{service}
	u := &upRun{app: a, rooms: r, project: p, options: upOptions{plan: o.plan, images: o.images}}
	if _, err := u.images(ctx); err != nil {
		return nil, err
	}
	live, containers, err := r.machine.Live(ctx, p.Name, p)
	if err != nil {
		return nil, err
	}
	if o.name != "" {
		if err := a.nameFree(ctx, r, o.name); err != nil {
			return nil, err
		}
	}
	o.plan.Services = nil
	plan, warnings, err := scheduler.OneOff(p, live, service, o.plan)
	if err != nil {
		return nil, err
	}
	a.tell(warnings)
	ho := a.imageHost(p, o.images)
	ho.Adjust = o.adjust(service, a.windowSize())
	h := a.hostFor(r, p, containers, ho)
	if err := h.Check(ctx, plan); err != nil {
		return nil, err
	}
	return h, a.perform(ctx, plan, h, nil)
}

func (a *app) nameFree(ctx context.Context, r *rooms, name string) error {
	all, err := r.engine.Observe(ctx, "")
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.Name == name {
			return fmt.Errorf("the container name %q is already in use by container %s", name, shortID(c.ID))
		}
	}
	return nil
}

// createOneOff makes the container; it is not started yet.
func (a *app) createOneOff(ctx context.Context, r *rooms, p *project.Project, h *host.Host, o runOptions, service string) (scheduler.Ref, error) {
	name := o.name
	if name == "" {
		name = fmt.Sprintf("%s-%s-run-%s", p.Name, service, shortID(engine.NewID()))
	}
	if err := h.CreateContainer(ctx, scheduler.Create{Service: service, Name: name}); err != nil {
		return scheduler.Ref{}, err
	}
	id, ok := h.ContainerOf(name)
	if !ok {
		return scheduler.Ref{}, fmt.Errorf("container %s: %w", name, engine.ErrNotFound)
	}
	return scheduler.Ref{Name: name, ID: id, Service: service}, nil
}

// adjust changes what makes a one-off of a container: no restarts, not the
// service's names, and where it has a terminal, one of a size.
func (o runOptions) adjust(service string, size engine.Size) func(*engine.CreateConfig) {
	return func(c *engine.CreateConfig) {
		if c.Labels[project.LabelOneOff] != "True" {
			return // a dependency
		}
		r := &c.Record
		r.OneOff, r.Number = true, 0
		r.Restart = project.Restart{Name: project.RestartNo}
		r.TTY, r.Stdin = !o.noTTY, o.interactive && !o.detach
		if r.TTY && !o.detach {
			c.Size = size
		}
		for i := range r.Networks {
			if !o.useAliases {
				r.Networks[i].Aliases = nil
			} else if !slices.Contains(r.Networks[i].Aliases, service) {
				r.Networks[i].Aliases = append(r.Networks[i].Aliases, service)
			}
		}
	}
}

// adapt returns p with the service as the command line wants it; p itself
// stays as it is.
func (o runOptions) adapt(p *project.Project, service string, args []string) (*project.Project, error) {
	s, ok := p.Services[service]
	if !ok {
		return nil, noSuchService(service)
	}
	s.ContainerName, s.Tty, s.StdinOpen = "", !o.noTTY, o.interactive && !o.detach
	if err := o.adaptCommand(&s, args); err != nil {
		return nil, err
	}
	if err := o.adaptEnvironment(&s, p); err != nil {
		return nil, err
	}
	if err := o.adaptPorts(&s); err != nil {
		return nil, err
	}
	if err := o.adaptVolumes(&s); err != nil {
		return nil, err
	}
	if o.user != "" {
		s.User = o.user
	}
	if o.workdir != "" {
		s.WorkingDir = o.workdir
	}
	s.CapAdd, s.CapDrop = adaptCapabilities(s.CapAdd, o.capAdd, o.capDrop), adaptCapabilities(s.CapDrop, o.capDrop, o.capAdd)
	s.Labels = maps.Clone(s.Labels)
	for _, l := range o.labels {
		if s.Labels == nil {
			s.Labels = types.Labels{}
		}
		key, value, _ := strings.Cut(l, "=")
		s.Labels[key] = value
	}
	adapted := *p
	types := *p.Project
	types.Services = maps.Clone(p.Services)
	types.Services[service] = s
	adapted.Project = &types
	return &adapted, nil
}

// adaptCapabilities is a service's list of added, or dropped, capabilities
// with what the command line adds, and without what it says the opposite of.
func adaptCapabilities(list, more, opposite []string) []string {
	kept := slices.DeleteFunc(slices.Clone(list), func(c string) bool { return slices.Contains(opposite, c) })
	return append(kept, more...)
}

func (o runOptions) adaptCommand(s *types.ServiceConfig, args []string) error {
	if o.entry {
		words, err := shellwords.Parse(o.entrypoint)
		if err != nil {
			return fmt.Errorf("--entrypoint: %w", err)
		}
		s.Entrypoint, s.Command = words, nil
	}
	if len(args) > 0 {
		s.Command = args
	}
	return nil
}

func (o runOptions) adaptEnvironment(s *types.ServiceConfig, p *project.Project) error {
	env := types.MappingWithEquals{}
	maps.Copy(env, s.Environment)
	for _, file := range o.envFiles {
		values, err := project.ReadEnvFile(file, p.Environment.Resolve)
		if err != nil {
			return fmt.Errorf("--env-from-file: %w", err)
		}
		for k, v := range values {
			env[k] = &v
		}
	}
	for _, e := range o.env {
		key, value, found := strings.Cut(e, "=")
		if !found {
			v, ok := p.Environment.Resolve(key)
			if !ok {
				continue
			}
			value = v
		}
		env[key] = &value
	}
	s.Environment = env
	return nil
}

func (o runOptions) adaptPorts(s *types.ServiceConfig) error {
	if o.servicePorts {
		return nil
	}
	s.Ports = nil
	for _, spec := range o.publish {
		ports, err := types.ParsePortConfig(spec)
		if err != nil {
			return fmt.Errorf("--publish: %w", err)
		}
		s.Ports = append(s.Ports, ports...)
	}
	return nil
}

func (o runOptions) adaptVolumes(s *types.ServiceConfig) error {
	s.Volumes = slices.Clone(s.Volumes)
	for _, spec := range o.volumes {
		v, err := format.ParseVolume(spec)
		if err != nil {
			return fmt.Errorf("--volume: %w", err)
		}
		if v.Type == types.VolumeTypeBind {
			if home, err := os.UserHomeDir(); err == nil && strings.HasPrefix(v.Source, "~/") {
				v.Source = filepath.Join(home, v.Source[2:])
			}
			if v.Source, err = filepath.Abs(v.Source); err != nil {
				return fmt.Errorf("--volume: %w", err)
			}
		}
		s.Volumes = slices.DeleteFunc(s.Volumes, func(old types.ServiceVolumeConfig) bool { return old.Target == v.Target })
		s.Volumes = append(s.Volumes, v)
	}
	return nil
}

// oneOffRun is a one-off container that has been made.
type oneOffRun struct {
	*app
	rooms   *rooms
	host    *host.Host
	ref     scheduler.Ref
	options runOptions
}

// start starts the container; one that cannot be started is removed, if it
// would be at its end.
func (o *oneOffRun) start(ctx context.Context) error {
	err := o.host.StartContainer(ctx, o.ref)
	if err == nil && (o.options.servicePorts || len(o.options.publish) > 0) {
		err = o.sync(ctx, o.rooms)
	}
	if err != nil && o.options.remove {
		return errors.Join(err, o.clear(ctx))
	}
	return err
}

// clear removes the container and its anonymous volumes, after a signal too.
func (o *oneOffRun) clear(ctx context.Context) error {
	return o.host.RemoveContainer(context.WithoutCancel(ctx), o.ref, true)
}

// detached prints the ID. With --rm a process stays behind that waits for the
// end.
func (o *oneOffRun) detached(ctx context.Context) error {
	if err := o.start(ctx); err != nil {
		return err
	}
	if o.options.remove {
		if err := o.leaveReaper(o.rooms.root, o.ref); err != nil {
			return err
		}
	}
	fmt.Fprintln(o.out, o.ref.ID)
	return nil
}

// foreground joins this process's streams to the container until it ends, and
// ends with its code. Signals go to the container.
func (o *oneOffRun) foreground(ctx context.Context) error {
	caught, release := o.signals.take()
	defer release()
	cfg := engine.AttachConfig{Stdout: o.stdout, Stderr: o.stderr}
	if o.options.interactive {
		cfg.Stdin, cfg.CloseStdin = o.in, true
	}
	if !o.options.noTTY {
		t, err := o.takeTerminal()
		if err != nil {
			return err
		}
		defer t.restore()
		cfg.Resize, cfg.Stderr = t.sizes, nil
	}
	if err := o.start(ctx); err != nil {
		return err
	}
	done := make(chan struct{})
	defer close(done)
	go o.passSignals(ctx, caught, done)
	if err := o.rooms.engine.Attach(ctx, o.ref.ID, cfg); err != nil {
		return err
	}
	code, err := o.exitCode(ctx)
	if err != nil {
		return err
	}
	if o.options.remove {
		if err := o.clear(ctx); err != nil {
			return err
		}
	}
	return exitWith(code)
}

// exitCode is the code of the container's command, which has ended or is about
// to: waiting fails where somebody else has tidied it up meanwhile.
func (o *oneOffRun) exitCode(ctx context.Context) (int, error) {
	code, err := o.rooms.engine.Wait(ctx, o.ref.ID)
	if err == nil {
		return code, nil
	}
	c, inspectErr := o.rooms.engine.Inspect(ctx, o.ref.ID)
	if inspectErr != nil || c.State != engine.StateExited {
		return 0, err
	}
	return c.ExitCode, nil
}

// passSignals gives signals to the container until done is closed.
func (o *oneOffRun) passSignals(ctx context.Context, caught <-chan os.Signal, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case s := <-caught:
			_ = o.rooms.engine.Kill(ctx, o.ref.ID, signalName(s)) // it may just have ended
		}
	}
}
