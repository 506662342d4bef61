package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/table"
	"github.com/compose-first/compose/project"
)

// psOptions are those of ps.
type psOptions struct {
	all      bool
	filters  []string
	statuses []string
	format   string
	noTrunc  bool
	orphans  bool
	quiet    bool
	services bool
}

func (a *app) psCommand() *cobra.Command {
	var o psOptions
	c := &cobra.Command{
		Use:   "ps [OPTIONS] [SERVICE...]",
		Short: "List containers",
		RunE: func(cmd *cobra.Command, services []string) error {
			if !cmd.Flags().Changed("format") {
				o.format = configuredFormat()
			}
			return a.ps(cmd.Context(), o, services)
		},
	}
	f := c.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "Also stopped containers and one-offs")
	f.StringArrayVar(&o.filters, "filter", nil, "status=STATUS, repeatable")
	f.StringArrayVar(&o.statuses, "status", nil, "paused, restarting, removing, running, dead, created or exited, repeatable")
	f.StringVar(&o.format, "format", "table", "table, json, or a Go template")
	f.BoolVar(&o.noTrunc, "no-trunc", false, "Do not shorten IDs and commands")
	f.BoolVar(&o.orphans, "orphans", true, "Also services that the file does not have")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "IDs alone")
	f.BoolVar(&o.services, "services", false, "Service names alone")
	return c
}

func (a *app) ps(ctx context.Context, o psOptions, services []string) error {
	if err := o.readFilters(); err != nil {
		return err
	}
	a.lookAhead(ctx)
	name, p, err := a.target(ctx, services...)
	if err != nil {
		return err
	}
	r, err := a.look(ctx)
	if err != nil {
		return err
	}
	containers, err := listed(ctx, r, name)
	if err != nil {
		return err
	}
	containers = slices.DeleteFunc(containers, func(c engine.Container) bool { return !o.lists(c, p, services) })
	return a.printContainers(o, containers)
}

// listed are the containers of a project, "" for all, as ps and ls show them:
// one that its policy is about to start again, or is starting, is restarting
// from its end to its next run.
func listed(ctx context.Context, r *rooms, name string) ([]engine.Container, error) {
	if r.engine == nil {
		return nil, nil
	}
	containers, err := r.engine.Observe(ctx, name)
	for i, c := range containers {
		if c.State == engine.StateExited && restarts(c, c.ExitCode) {
			containers[i].State = engine.StateRestarting
		}
	}
	return containers, err
}

func (a *app) printContainers(o psOptions, containers []engine.Container) error {
	switch {
	case o.quiet:
		for _, c := range containers {
			fmt.Fprintln(a.out, c.ID)
		}
		return nil
	case o.services:
		var names []string
		for _, c := range containers {
			if s := c.Labels[project.LabelService]; !slices.Contains(names, s) {
				names = append(names, s)
				fmt.Fprintln(a.out, s)
			}
		}
		return nil
	}
	rows := make([]psRow, 0, len(containers))
	now := time.Now()
	for _, c := range containers {
		rows = append(rows, newRow(c, now, o.noTrunc))
	}
	return table.Write(a.out, o.format, psTable, rows)
}

// readFilters takes --filter status=S for --status.
func (o *psOptions) readFilters() error {
	for _, f := range o.filters {
		key, value, found := strings.Cut(f, "=")
		if !found {
			return errors.New("arguments to --filter should be in form KEY=VAL")
		}
		if key != "status" {
			return fmt.Errorf("unknown filter %s", key)
		}
		o.statuses = append(o.statuses, value)
	}
	return nil
}

// lists reports whether ps shows a container.
func (o psOptions) lists(c engine.Container, p *project.Project, services []string) bool {
	service := c.Labels[project.LabelService]
	if len(services) > 0 && !slices.Contains(services, service) {
		return false
	}
	if !o.orphans && p != nil {
		if _, ok := p.Services[service]; !ok {
			return false
		}
	}
	if len(o.statuses) > 0 {
		return slices.Contains(o.statuses, string(c.State))
	}
	return o.all || alive(c.State) && !oneOff(c)
}

// configuredFormat is the psFormat of Docker's configuration file, or table.
func configuredFormat() string {
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "table"
		}
		dir = filepath.Join(home, ".docker")
	}
	var cfg struct {
		PsFormat string `json:"psFormat"`
	}
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil || json.Unmarshal(b, &cfg) != nil || cfg.PsFormat == "" {
		return "table"
	}
	return cfg.PsFormat
}
