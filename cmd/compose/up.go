package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/host"
	"github.com/compose-first/compose/project"
	"github.com/compose-first/compose/scheduler"
)

// upOptions are those of up and of the commands that are up in part: create,
// scale and plan.
type upOptions struct {
	operation string // for the display
	plan      scheduler.Options
	images    imageOptions

	detach      bool
	createOnly  bool // create: nothing is started
	scaleOnly   bool // scale: replicas alone, nothing recreated
	printPlan   string
	waitTimeout int // seconds; 0: none
	yes         bool

	attach     attachOptions
	noAttach   []string
	attachDeps bool
}

// imageOptions say which images are fetched or built first, and what of it is
// shown.
type imageOptions struct {
	pull       string
	build      bool
	noBuild    bool
	quietPull  bool
	quietBuild bool
}

func (a *app) upCommand() *cobra.Command {
	o := upOptions{operation: "up"}
	c := &cobra.Command{
		Use:   "up [OPTIONS] [SERVICE...]",
		Short: "Create and start the project's containers",
		Long: `Create what is missing, recreate what has changed, start what is stopped, and
leave alone what is right. Without -d the output of the containers follows
until they end; Ctrl-C stops them.`,
	}
	a.upFlags(c, &o)
	f := c.Flags()
	f.BoolVarP(&o.detach, "detach", "d", false, "Return when the containers are started")
	f.BoolVar(&o.plan.NoStart, "no-start", false, "Create only")
	f.BoolVar(&o.plan.Wait, "wait", false, "Wait until all run, and are healthy where they have a check; implies -d")
	f.IntVar(&o.waitTimeout, "wait-timeout", 0, "Longest wait, in seconds; 0 is no limit")
	f.BoolVar(&o.attach.abortOnExit, "abort-on-container-exit", false, "Stop all when a container ends")
	f.BoolVar(&o.attach.abortOnFailure, "abort-on-container-failure", false, "Stop all when a container ends with another code than 0")
	f.StringVar(&o.attach.exitCodeFrom, "exit-code-from", "", "Return the exit code of this service; implies --abort-on-container-exit")
	f.StringArrayVar(&o.attach.services, "attach", nil, "Print the output of this service alone, repeatable")
	f.BoolVar(&o.attachDeps, "attach-dependencies", false, "Print the output of dependencies too")
	f.StringArrayVar(&o.noAttach, "no-attach", nil, "Do not print the output of this service, repeatable")
	f.BoolVar(&o.attach.noColor, "no-color", false, "No colours")
	f.BoolVar(&o.attach.noPrefix, "no-log-prefix", false, "No container names before the lines")
	f.BoolVar(&o.attach.timestamps, "timestamps", false, "Show times")
	f.BoolP("watch", "w", false, "Watch files and update containers (not supported yet)")
	f.Bool("menu", false, "Show keys to press (there is none to press yet)")
	c.RunE = func(cmd *cobra.Command, services []string) error {
		if err := a.checkUp(cmd, &o); err != nil {
			return err
		}
		o.plan.Services = services
		return a.up(cmd.Context(), o)
	}
	return c
}

// upFlags are those that up and plan share.
func (a *app) upFlags(c *cobra.Command, o *upOptions) {
	a.createFlags(c, o)
	f := c.Flags()
	f.BoolVar(&o.plan.AlwaysRecreateDeps, "always-recreate-deps", false, "Recreate dependencies too")
	f.BoolVar(&o.plan.NoDeps, "no-deps", false, "The named services alone")
	f.BoolVarP(&o.plan.RenewAnonVolumes, "renew-anon-volumes", "V", false, "Recreate, with new anonymous volumes")
	timeoutFlag(c)
}

// createFlags are those that up, plan and create share.
func (a *app) createFlags(c *cobra.Command, o *upOptions) {
	f := c.Flags()
	f.BoolVar(&o.images.build, "build", false, "Build images first")
	f.BoolVar(&o.images.noBuild, "no-build", false, "Never build")
	f.StringVar(&o.images.pull, "pull", "", "Pull policy of all services: always, missing, never, build, if_not_present")
	f.BoolVar(&o.images.quietPull, "quiet-pull", false, "No progress of layers")
	f.BoolVar(&o.images.quietBuild, "quiet-build", false, "No build log")
	f.BoolVar(&o.plan.ForceRecreate, "force-recreate", false, "Recreate what has not changed too")
	f.BoolVar(&o.plan.NoRecreate, "no-recreate", false, "Keep what has changed")
	f.BoolVar(&o.plan.RemoveOrphans, "remove-orphans", false, "Remove containers of services that the file does not have")
	f.StringArray("scale", nil, "SERVICE=NUM containers, repeatable")
	f.BoolVarP(&o.yes, "yes", "y", false, "Answer yes to every question")
	f.BoolVar(&o.yes, "y", false, "")
	hide(f, "y")
}

// checkUp reads what flags and variables say together.
func (a *app) checkUp(c *cobra.Command, o *upOptions) (err error) {
	if err := unsupported(c, "watch"); err != nil {
		return err
	}
	if err := a.checkCreate(c, o); err != nil {
		return err
	}
	if o.plan.Timeout, err = seconds(c, "timeout"); err != nil {
		return err
	}
	for _, other := range []string{"no-recreate"} {
		for _, flag := range []string{"force-recreate", "renew-anon-volumes", "always-recreate-deps"} {
			if err := exclusive(c, flag, other); err != nil {
				return err
			}
		}
	}
	if o.waitTimeout < 0 {
		return errors.New("--wait-timeout must not be negative")
	}
	return checkAttach(c, o)
}

// checkCreate is checkUp for the flags of create.
func (a *app) checkCreate(c *cobra.Command, o *upOptions) (err error) {
	a.formerFlag(c, "y", "yes")
	if o.images.build && o.images.noBuild {
		return errors.New("--build and --no-build are incompatible")
	}
	if err := exclusive(c, "force-recreate", "no-recreate"); err != nil {
		return err
	}
	if err := checkPull(o.images.pull, upPolicies); err != nil {
		return err
	}
	if o.plan.IgnoreOrphans, err = a.orphanFlag(c, &o.plan.RemoveOrphans); err != nil {
		return err
	}
	specs, err := c.Flags().GetStringArray("scale")
	if err != nil {
		return err
	}
	o.plan.Scale, err = parseScale(specs, func(s string) error {
		return fmt.Errorf("invalid --scale option %q. Should be SERVICE=NUM", s)
	})
	return err
}

// checkAttach checks the flags on output against each other.
func checkAttach(c *cobra.Command, o *upOptions) error {
	attached := given(c, "abort-on-container-exit", "abort-on-container-failure", "exit-code-from", "attach", "attach-dependencies", "watch")
	if len(attached) > 0 {
		switch {
		case o.detach:
			return fmt.Errorf("--detach cannot be combined with %s", strings.Join(attached, ", "))
		case o.plan.Wait:
			return fmt.Errorf("--wait cannot be combined with %s", strings.Join(attached, ", "))
		}
	}
	switch {
	case o.attach.abortOnExit && o.attach.abortOnFailure:
		return errors.New("--abort-on-container-exit and --abort-on-container-failure are incompatible")
	case len(o.attach.services) > 0 && o.attachDeps:
		return errors.New("cannot combine --attach and --attach-dependencies")
	}
	if o.attach.exitCodeFrom != "" && !o.attach.abortOnFailure {
		o.attach.abortOnExit = true
	}
	o.detach = o.detach || o.plan.Wait
	return nil
}

// up is the way of a project from its files to running containers.
func (a *app) up(ctx context.Context, o upOptions) error {
	a.lookAhead(ctx)
	p, err := a.loadUp(ctx, o)
	if err != nil {
		return err
	}
	r, err := a.roomsFor(ctx, !o.createOnly && o.printPlan == "")
	if err != nil {
		return err
	}
	release, err := a.lockProject(ctx, r, p.Name)
	if err != nil {
		return err
	}
	if o.printPlan == "" {
		a.show(o.operation)
	}
	u := &upRun{app: a, rooms: r, project: p, options: o, release: release}
	images, err := u.images(ctx)
	if err != nil {
		return err
	}
	plan, err := u.prepare(ctx)
	if err != nil {
		return err
	}
	switch {
	case o.printPlan != "":
		return a.printPlan(o.printPlan, images, plan)
	case a.global.dryRun:
		return u.dryRun(ctx, images, plan)
	case o.detach || o.createOnly || o.plan.NoStart:
		return u.detached(ctx, plan)
	}
	return u.attached(ctx, plan)
}

// loadUp loads the project and checks what the command line says of it.
func (a *app) loadUp(ctx context.Context, o upOptions) (*project.Project, error) {
	po := a.projectOptions(o.plan.Services...)
	po.Scale = o.plan.Scale
	p, err := a.loadWith(ctx, po)
	if err != nil {
		return nil, err
	}
	if len(p.Services) == 0 && !a.global.allResources {
		return nil, errors.New("no service selected")
	}
	if s := o.attach.exitCodeFrom; s != "" {
		if _, ok := p.Services[s]; !ok {
			return nil, fmt.Errorf("no such service: %s: not found", s)
		}
	}
	included := p.WithDependencies(o.plan.Services...)
	if o.plan.NoDeps {
		included = o.plan.Services
	}
	for _, s := range o.attach.services {
		if !slices.Contains(included, s) {
			return nil, fmt.Errorf("cannot attach to services not included in up: %s", s)
		}
	}
	return p, nil
}

// upRun is one up under way.
type upRun struct {
	*app
	rooms   *rooms
	project *project.Project
	options upOptions
	release func() // of the project's lock

	containers []engine.Container // before anything was done
	host       *host.Host
}

// images fetches and builds what is missing. It returns the plan for that.
func (u *upRun) images(ctx context.Context) (scheduler.Plan, error) {
	o := u.options
	present, err := u.rooms.machine.Images(ctx, u.project)
	if err != nil {
		return scheduler.Plan{}, err
	}
	plan, warnings, err := scheduler.Images(u.project, present, scheduler.ImageOptions{
		Services: o.plan.Services, NoDeps: o.plan.NoDeps, Pull: o.images.pull,
		Build: o.images.build, NoBuild: o.images.noBuild, Now: time.Now(),
	})
	if err != nil {
		return scheduler.Plan{}, err
	}
	u.tell(warnings)
	if plan.Empty() || u.global.dryRun || o.printPlan != "" {
		return plan, nil
	}
	if err := u.checkFirst(ctx); err != nil {
		return scheduler.Plan{}, err
	}
	h := u.hostFor(u.rooms, u.project, nil, u.imageHost(u.project, o.images))
	return plan, u.perform(ctx, plan, h, nil)
}

// checkFirst finds what would make the up fail before time is spent on its
// images: a taken port is not worth a build.
func (u *upRun) checkFirst(ctx context.Context) error {
	live, containers, err := u.rooms.machine.Live(ctx, u.project.Name, u.project)
	if err != nil {
		return err
	}
	plan, _, err := u.decide(live, u.options.plan)
	if err != nil {
		return err
	}
	return u.hostFor(u.rooms, u.project, containers, host.Options{}).Check(ctx, plan)
}

// decide plans what the command is for: an up, or a change of replicas alone.
func (u *upRun) decide(live scheduler.Live, o scheduler.Options) (scheduler.Plan, []scheduler.Warning, error) {
	o.NoStart = o.NoStart || u.options.createOnly
	o.AllResources = u.global.allResources
	if u.options.scaleOnly {
		return scheduler.Scale(u.project, live, o)
	}
	return scheduler.Up(u.project, live, o)
}

// prepare looks at what there is and plans the rest.
func (u *upRun) prepare(ctx context.Context) (scheduler.Plan, error) {
	live, containers, err := u.rooms.machine.Live(ctx, u.project.Name, u.project)
	if err != nil {
		return scheduler.Plan{}, err
	}
	u.containers = containers
	o := u.options.plan
	if o.ReplaceVolumes, err = u.replaceable(live, o); err != nil {
		return scheduler.Plan{}, err
	}
	plan, warnings, err := u.decide(live, o)
	if err != nil {
		return scheduler.Plan{}, err
	}
	u.tell(warnings)
	u.host = u.hostFor(u.rooms, u.project, containers, u.imageHost(u.project, u.options.images))
	if u.options.printPlan != "" {
		return plan, nil
	}
	return plan, u.host.Check(ctx, plan)
}

// replaceable asks for each volume that has changed in the file whether its
// data may go.
func (u *upRun) replaceable(live scheduler.Live, o scheduler.Options) ([]string, error) {
	changed, err := scheduler.ChangedVolumes(u.project, live, o)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range changed {
		yes := u.options.yes
		if !yes && !u.global.dryRun && u.options.printPlan == "" && !u.inputEnded() { // nobody to ask: the plan warns
			yes, err = u.ask(fmt.Sprintf("Volume %q exists but doesn't match configuration in compose file. Recreate (data will be lost)?", name))
			if err != nil {
				return nil, err
			}
		}
		if yes {
			names = append(names, name)
		}
	}
	return names, nil
}

// detached does the plan and returns.
func (u *upRun) detached(ctx context.Context, plan scheduler.Plan) error {
	return withWait(ctx, u.options.waitTimeout, func(ctx context.Context) error {
		if err := u.perform(ctx, plan, u.host, nil); err != nil {
			return err
		}
		if plan.Empty() {
			return nil
		}
		return u.sync(ctx, u.rooms)
	})
}

// dryRun shows what the run would do.
func (u *upRun) dryRun(_ context.Context, images, plan scheduler.Plan) error {
	if err := u.pretend(joinPlans(images, plan)); err != nil {
		return err
	}
	o := u.options
	if !o.detach && !o.createOnly && !o.plan.NoStart {
		u.hide()
		fmt.Fprintln(u.out, "end of 'compose up' output, interactive run is not supported in dry-run mode")
	}
	return nil
}

// joinPlans is second after all of first.
func joinPlans(first, second scheduler.Plan) scheduler.Plan {
	joined := scheduler.Plan{
		Nodes: slices.Clone(first.Nodes), Unchanged: second.Unchanged,
		Notes: append(slices.Clone(first.Notes), second.Notes...),
	}
	shift := func(nodes []int) []int {
		moved := make([]int, 0, len(nodes))
		for _, i := range nodes {
			moved = append(moved, i+len(first.Nodes))
		}
		return moved
	}
	for _, n := range second.Nodes {
		n.After, n.Soft = shift(n.After), shift(n.Soft)
		if len(n.After) == 0 {
			for i := range first.Nodes {
				n.After = append(n.After, i)
			}
		}
		joined.Nodes = append(joined.Nodes, n)
	}
	return joined
}

// withWait gives act at most seconds, 0 for as long as it takes.
func withWait(ctx context.Context, seconds int, act func(context.Context) error) error {
	if seconds <= 0 {
		return act(ctx)
	}
	limit := time.Duration(seconds) * time.Second
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	deadline := time.Now().Add(limit)
	err := act(timed)
	if err != nil && ctx.Err() == nil && time.Until(deadline) < clockSlack {
		return fmt.Errorf("application not healthy after %s", limit)
	}
	return err
}

// clockSlack is by how much containerd, which is told the deadline too, may
// give up before this process does.
const clockSlack = 100 * time.Millisecond
