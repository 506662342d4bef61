package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/table"
	"github.com/compose-first/compose/project"
)

// lsOptions are those of ls.
type lsOptions struct {
	all     bool
	filters []string
	format  string
	quiet   bool
}

func (a *app) lsCommand() *cobra.Command {
	var o lsOptions
	c := &cobra.Command{
		Use:   "ls [OPTIONS]",
		Short: "List projects",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.ls(cmd.Context(), o) },
	}
	f := c.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "Also those of which nothing runs")
	f.StringArrayVar(&o.filters, "filter", nil, "name=REGEXP")
	f.StringVar(&o.format, "format", "table", "table or json")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "Names alone")
	return c
}

// listedProject is a project as ls --format json prints it.
type listedProject struct {
	Name        string
	Status      string
	ConfigFiles string
}

func (a *app) ls(ctx context.Context, o lsOptions) error {
	if o.format != "table" && o.format != "json" {
		return badFormat(o.format)
	}
	match, err := nameFilter(o.filters)
	if err != nil {
		return err
	}
	r, err := a.look(ctx)
	if err != nil {
		return err
	}
	containers, err := listed(ctx, r, "")
	if err != nil {
		return err
	}
	projects := listProjects(containers, o.all)
	projects = slices.DeleteFunc(projects, func(p listedProject) bool { return !match(p.Name) })
	return a.printProjects(o, projects)
}

func (a *app) printProjects(o lsOptions, projects []listedProject) error {
	switch {
	case o.quiet:
		for _, p := range projects {
			fmt.Fprintln(a.out, p.Name)
		}
		return nil
	case o.format == "json":
		return json.NewEncoder(a.out).Encode(projects)
	}
	var rows [][]string
	for _, p := range projects {
		rows = append(rows, []string{p.Name, p.Status, p.ConfigFiles})
	}
	return table.WriteText(a.out, []string{"NAME", "STATUS", "CONFIG FILES"}, rows)
}

// nameFilter reads name=REGEXP filters; a name matches when it is equal to one
// or matches it.
func nameFilter(filters []string) (func(string) bool, error) {
	var names []string
	var patterns []*regexp.Regexp
	for _, f := range filters {
		key, value, found := strings.Cut(f, "=")
		if !found || key != "name" {
			return nil, fmt.Errorf("invalid filter '%s'", key)
		}
		re, err := regexp.Compile(value)
		if err != nil {
			return nil, fmt.Errorf("invalid filter '%s': %w", f, err)
		}
		names, patterns = append(names, value), append(patterns, re)
	}
	return func(name string) bool {
		return len(filters) == 0 || slices.Contains(names, name) ||
			slices.ContainsFunc(patterns, func(re *regexp.Regexp) bool { return re.MatchString(name) })
	}, nil
}

// listProjects groups containers by project, sorted by name. Without all,
// stopped containers do not count.
func listProjects(containers []engine.Container, all bool) []listedProject {
	states := map[string]map[string]int{}
	files := map[string]string{}
	for _, c := range containers {
		if !all && !alive(c.State) {
			continue
		}
		name := c.Labels[project.LabelProject]
		if states[name] == nil {
			states[name] = map[string]int{}
		}
		states[name][string(c.State)]++
		if f := c.Labels[project.LabelConfigFiles]; f != "" {
			files[name] = f
		}
	}
	projects := []listedProject{} // an empty array in JSON, not null
	for _, name := range slices.Sorted(maps.Keys(states)) {
		var parts []string
		for _, state := range slices.Sorted(maps.Keys(states[name])) {
			parts = append(parts, fmt.Sprintf("%s(%d)", state, states[name][state]))
		}
		projects = append(projects, listedProject{Name: name, Status: strings.Join(parts, ", "), ConfigFiles: files[name]})
	}
	return projects
}

// alive are the states that ps and ls show without -a.
func alive(s engine.State) bool {
	return s == engine.StateRunning || s == engine.StatePaused || s == engine.StateRestarting
}
