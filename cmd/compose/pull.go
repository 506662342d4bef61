package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/scheduler"
)

func (a *app) pullCommand() *cobra.Command {
	var o scheduler.PullOptions
	var quiet, ignore bool
	c := &cobra.Command{
		Use:   "pull [OPTIONS] [SERVICE...]",
		Short: "Pull images",
	}
	f := c.Flags()
	f.BoolVar(&o.IgnoreBuildable, "ignore-buildable", false, "Leave out services that can be built")
	f.BoolVar(&ignore, "ignore-pull-failures", false, "Show failures, and end with 0")
	f.BoolVar(&o.IncludeDeps, "include-deps", false, "Dependencies of the services too")
	f.StringVar(&o.Policy, "policy", "", "missing or always")
	f.BoolVarP(&quiet, "quiet", "q", false, "No progress of layers")
	for _, old := range []string{"parallel", "no-parallel"} {
		f.Bool(old, false, "")
		hide(f, old)
	}
	c.RunE = func(cmd *cobra.Command, services []string) error {
		if o.Policy != "" && o.Policy != "missing" && o.Policy != "always" {
			return fmt.Errorf("invalid --policy option %q: it is missing or always", o.Policy)
		}
		for _, old := range given(cmd, "parallel", "no-parallel") {
			a.deprecated("option '" + old + "' is DEPRECATED and will be ignored.")
		}
		o.Services = services
		return a.pull(cmd.Context(), o, quiet, ignore)
	}
	return c
}

func (a *app) pull(ctx context.Context, o scheduler.PullOptions, quiet, ignore bool) error {
	p, err := a.load(ctx, o.Services...)
	if err != nil {
		return err
	}
	r, err := a.use(ctx)
	if err != nil {
		return err
	}
	present, err := r.machine.Images(ctx, p)
	if err != nil {
		return err
	}
	plan, warnings, err := scheduler.Pull(p, present, o)
	if err != nil {
		return err
	}
	a.tell(warnings)
	if ignore {
		for i := range plan.Nodes {
			plan.Nodes[i].Optional = true
		}
	}
	a.show("pull")
	return a.perform(ctx, plan, a.hostFor(r, p, nil, a.imageHost(p, imageOptions{quietPull: quiet})), nil)
}
