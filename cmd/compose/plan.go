package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/scheduler"
)

func (a *app) planCommand() *cobra.Command {
	o := upOptions{operation: "plan", detach: true}
	c := &cobra.Command{
		Use:   "plan [OPTIONS] [SERVICE...]",
		Short: "Show what up would do, and why, and do none of it",
	}
	a.upFlags(c, &o)
	c.Flags().StringVar(&o.printPlan, "format", "text", "text or json")
	c.RunE = func(cmd *cobra.Command, services []string) error {
		if o.printPlan != "text" && o.printPlan != "json" {
			return badFormat(o.printPlan)
		}
		if err := a.checkUp(cmd, &o); err != nil {
			return err
		}
		o.plan.Services = services
		return a.up(cmd.Context(), o)
	}
	return c
}

// printPlan writes the steps for the images and those after them as one plan.
func (a *app) printPlan(format string, images, rest scheduler.Plan) error {
	plan := joinPlans(images, rest)
	if format == "text" {
		fmt.Fprint(a.out, plan.String())
		return nil
	}
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(plan)
}
