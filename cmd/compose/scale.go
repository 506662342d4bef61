package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
)

func (a *app) scaleCommand() *cobra.Command {
	var noDeps bool
	c := &cobra.Command{
		Use:   "scale [OPTIONS] SERVICE=REPLICAS...",
		Short: "Change how many containers services have",
		Args:  cobra.MinimumNArgs(1),
	}
	c.Flags().BoolVar(&noDeps, "no-deps", false, "Do not start dependencies")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		scale, err := parseScale(args, func(s string) error { return fmt.Errorf("invalid scale specifier: %s", s) })
		if err != nil {
			return err
		}
		services := slices.Sorted(maps.Keys(scale))
		o := upOptions{operation: "scale", detach: true, scaleOnly: true}
		o.plan.Services, o.plan.Scale, o.plan.NoDeps = services, scale, noDeps
		return a.up(cmd.Context(), o)
	}
	return c
}
