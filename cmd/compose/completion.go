package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/internal/progress"
	"github.com/compose-first/compose/project"
)

// completeServices offers the project's services, active ones first. It reads
// the files alone, and a fault in them leaves nothing to offer.
func (a *app) completeServices(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	p, err := a.completionProject(c)
	if err != nil || (c.Name() == "exec" || c.Name() == "run" || c.Name() == "port") && len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := append(slices.Sorted(maps.Keys(p.Services)), slices.Sorted(maps.Keys(p.DisabledServices))...)
	directive := cobra.ShellCompDirectiveNoFileComp
	if c.Name() == "scale" {
		for i := range names {
			names[i] += "="
		}
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return slices.DeleteFunc(names, func(n string) bool {
		return !strings.HasPrefix(n, word) || slices.Contains(args, n)
	}), directive
}

// completionProject loads the project whatever is missing around it: env files,
// other services.
func (a *app) completionProject(c *cobra.Command) (*project.Project, error) {
	o := a.projectOptions()
	o.NoConsistency, o.NoEnvResolution = true, true
	return project.Load(c.Context(), o)
}

// completeFlags offers values of the global flags.
func (a *app) completeFlags(root *cobra.Command) {
	fixed := func(values ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
	}
	for flag, complete := range map[string]cobra.CompletionFunc{
		"progress": fixed(string(progress.Auto), string(progress.TTY), string(progress.Plain), string(progress.JSON), string(progress.Quiet)),
		"ansi":     fixed("never", "always", "auto"),
		"file": func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
		"project-directory": func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		"profile": func(c *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
			p, err := a.completionProject(c)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return startingWith(profiles(p), word), cobra.ShellCompDirectiveNoFileComp
		},
		"project-name": a.completeProjects,
	} {
		_ = root.RegisterFlagCompletionFunc(flag, complete) // fails for a flag that is not defined
	}
}

// completeProjects offers the names of the projects that exist.
func (a *app) completeProjects(c *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	r, err := a.find(c.Context())
	if err != nil || r.engine == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	containers, err := r.engine.Observe(c.Context(), "")
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, p := range listProjects(containers, true) {
		names = append(names, p.Name)
	}
	return startingWith(names, word), cobra.ShellCompDirectiveNoFileComp
}

func startingWith(names []string, word string) []string {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	return slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, word) })
}
