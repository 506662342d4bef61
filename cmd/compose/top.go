package main

import (
	"context"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/internal/proctable"
	"github.com/compose-first/compose/internal/table"
	"github.com/compose-first/compose/project"
)

func (a *app) topCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "top [SERVICE...]",
		Short: "Show the processes of containers",
		RunE:  func(cmd *cobra.Command, services []string) error { return a.top(cmd.Context(), services) },
	}
}

func (a *app) top(ctx context.Context, services []string) error {
	a.lookAhead(ctx)
	name, _, err := a.target(ctx)
	if err != nil {
		return err
	}
	r, err := a.look(ctx)
	if err != nil || r.engine == nil {
		return err
	}
	containers, err := r.engine.Observe(ctx, name)
	if err != nil {
		return err
	}
	processes, err := proctable.Read()
	if err != nil {
		return err
	}
	var rows [][]string
	for _, c := range containers {
		service := c.Labels[project.LabelService]
		if !alive(c.State) || len(services) > 0 && !slices.Contains(services, service) {
			continue
		}
		number := ""
		if !oneOff(c) {
			number = strconv.Itoa(c.Record.Number)
		}
		for _, p := range processes.In(c.ID) {
			rows = append(rows, append([]string{service, number}, p.Columns()...))
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return table.WriteText(a.out, append([]string{"SERVICE", "#"}, proctable.Headers...), rows)
}
