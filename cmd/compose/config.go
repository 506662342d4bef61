package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/project"
)

// configOptions are those of config.
type configOptions struct {
	load   project.Options
	format string
	output string
	quiet  bool
	hash   string

	services, volumes, networks, models, profiles, images bool
	variables, environment                                bool
}

func (a *app) configCommand() *cobra.Command {
	var o configOptions
	var noInterpolate, noNormalize, noPaths, noConsistency, noEnv bool
	c := &cobra.Command{
		Use:     "config [OPTIONS] [SERVICE...]",
		Aliases: []string{"convert"},
		Short:   "Check the files, and print the project that they mean",
	}
	f := c.Flags()
	f.StringVar(&o.format, "format", "", "yaml or json (default: yaml)")
	f.StringVarP(&o.output, "output", "o", "", "File to write to (default: standard output)")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "Only check")
	f.BoolVar(&o.services, "services", false, "Print the names of services")
	f.BoolVar(&o.volumes, "volumes", false, "Print the names of volumes")
	f.BoolVar(&o.networks, "networks", false, "Print the names of networks")
	f.BoolVar(&o.models, "models", false, "Print the names of models")
	f.BoolVar(&o.profiles, "profiles", false, "Print the names of profiles")
	f.BoolVar(&o.images, "images", false, "Print the names of images")
	f.StringVar(&o.hash, "hash", "", "Print the hashes of services, a comma list; * is all")
	f.BoolVar(&o.variables, "variables", false, "Print the variables that the files use")
	f.BoolVar(&o.environment, "environment", false, "Print the environment that the files see")
	f.BoolVar(&noInterpolate, "no-interpolate", false, "Leave variables as they are")
	f.BoolVar(&noNormalize, "no-normalize", false, "Add no defaults")
	f.BoolVar(&noPaths, "no-path-resolution", false, "Leave relative paths as they are")
	f.BoolVar(&noConsistency, "no-consistency", false, "Do not check references")
	f.BoolVar(&noEnv, "no-env-resolution", false, "Leave env files as they are")
	f.Bool("resolve-image-digests", false, "Pin images to digests (not supported yet)")
	f.Bool("lock-image-digests", false, "Print an override file of digests (not supported yet)")
	c.RunE = func(cmd *cobra.Command, services []string) error {
		if err := unsupported(cmd, "resolve-image-digests", "lock-image-digests"); err != nil {
			return err
		}
		o.load = a.projectOptions(services...)
		o.load.NoInterpolate, o.load.NoNormalize, o.load.NoResolvePaths = noInterpolate, noNormalize, noPaths
		o.load.NoConsistency, o.load.NoEnvResolution = noConsistency, noEnv
		return a.config(cmd.Context(), o, services)
	}
	return c
}

func (a *app) config(ctx context.Context, o configOptions, services []string) error {
	if o.format != "" && o.format != "yaml" && o.format != "json" {
		return fmt.Errorf("unsupported format %q", o.format)
	}
	if o.variables && !o.lists() {
		return a.configVariables(ctx, o)
	}
	if o.load.NoInterpolate && len(services) > 0 {
		a.warn("services are ignored with --no-interpolate: the whole file is printed")
		o.load.Services, services = nil, nil
	}
	p, err := a.loadWith(ctx, o.load)
	if err != nil {
		return err
	}
	if len(services) > 0 {
		if p.Project, err = p.Project.WithSelectedServices(services); err != nil {
			return err
		}
	}
	text, err := o.text(p)
	if err != nil || o.quiet {
		return err
	}
	return a.output(o.output, text)
}

// lists reports whether a list is asked for that wins over --variables.
func (o configOptions) lists() bool {
	return o.services || o.volumes || o.networks || o.models || o.hash != "" || o.profiles || o.images
}

// text is what config prints: the first list asked for, in this order, else
// the project.
func (o configOptions) text(p *project.Project) (string, error) {
	switch {
	case o.services:
		return lines(p.ServiceNames()), nil
	case o.volumes:
		return lines(p.VolumeNames()), nil
	case o.networks:
		return lines(p.NetworkNames()), nil
	case o.models:
		return lines(slices.Collect(maps.Keys(p.Models))), nil
	case o.hash != "":
		return hashLines(p, o.hash)
	case o.profiles:
		return lines(profiles(p)), nil
	case o.images:
		return lines(imageNames(p)), nil
	case o.environment:
		return lines(p.Environment.Values()), nil
	}
	text, err := project.Marshal(p, o.format)
	return string(text), err
}

// lines is a sorted list, each once, a line each.
func lines(names []string) string {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	var b strings.Builder
	for _, n := range names {
		b.WriteString(n + "\n")
	}
	return b.String()
}

func hashLines(p *project.Project, which string) (string, error) {
	names := p.ServiceNames()
	if which != "*" {
		names = splitList(which, ",")
	}
	var out []string
	for _, name := range names {
		hash, ok := p.Hashes[name]
		if !ok {
			return "", noSuchService(name)
		}
		out = append(out, name+" "+hash)
	}
	return lines(out), nil
}

func profiles(p *project.Project) []string {
	var names []string
	for _, s := range p.AllServices() {
		names = append(names, s.Profiles...)
	}
	return names
}

func imageNames(p *project.Project) []string {
	var names []string
	for service := range p.Services {
		names = append(names, p.ImageName(service))
	}
	return names
}

// output writes text to a file, or to standard output.
func (a *app) output(path, text string) error {
	if path == "" {
		_, err := fmt.Fprint(a.out, text)
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		return fmt.Errorf("write the project: %w", err)
	}
	return nil
}
