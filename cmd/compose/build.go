package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/compose-first/compose/scheduler"
)

// buildOptions are those of build.
type buildOptions struct {
	plan    scheduler.BuildOptions
	args    []string
	noCache bool
	pull    bool
	quiet   bool
}

func (a *app) buildCommand() *cobra.Command {
	var o buildOptions
	c := &cobra.Command{
		Use:   "build [OPTIONS] [SERVICE...]",
		Short: "Build images",
	}
	f := c.Flags()
	f.StringArrayVar(&o.args, "build-arg", nil, "KEY=VALUE, or KEY to take its value from here, repeatable")
	f.BoolVar(&o.noCache, "no-cache", false, "Do not use the cache")
	f.BoolVar(&o.pull, "pull", false, "Ask for base images anew")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "No log")
	f.BoolVar(&o.plan.WithDeps, "with-dependencies", false, "Build dependencies too")
	f.StringP("memory", "m", "", "No effect with BuildKit")
	later := []string{"builder", "check", "print", "provenance", "push", "sbom", "ssh"}
	f.String("builder", "", "Another BuildKit (not supported yet)")
	f.Bool("check", false, "Lint only (not supported yet)")
	f.Bool("print", false, "Show the definition (not supported yet)")
	f.String("provenance", "", "Attestation (not supported yet)")
	f.Bool("push", false, "Push afterwards (not supported yet)")
	f.String("sbom", "", "Attestation (not supported yet)")
	f.StringArray("ssh", nil, "SSH agent or keys (not supported yet)")
	for _, old := range []string{"parallel", "compress", "force-rm", "no-rm"} {
		f.Bool(old, false, "")
		hide(f, old)
	}
	f.String("progress", "", "")
	hide(f, "progress")
	c.RunE = func(cmd *cobra.Command, services []string) error {
		if err := unsupported(cmd, later...); err != nil {
			return err
		}
		if os.Getenv("BUILDX_BUILDER") != "" && os.Getenv("BUILDX_BUILDER") != "default" {
			return errors.New("BUILDX_BUILDER: another builder is not supported yet")
		}
		if cmd.Flags().Changed("progress") {
			a.warn("--progress is a global flag, please use %s --progress … build", a.name)
		}
		o.plan.Services = services
		return a.buildImages(cmd.Context(), o)
	}
	return c
}

func (a *app) buildImages(ctx context.Context, o buildOptions) error {
	args, err := buildArgs(o.args)
	if err != nil {
		return err
	}
	p, err := a.load(ctx, o.plan.Services...)
	if err != nil {
		return err
	}
	plan, warnings, err := scheduler.Build(p, o.plan)
	if err != nil {
		return err
	}
	a.tell(warnings)
	if plan.Empty() {
		if len(warnings) == 0 {
			a.warn("No services to build")
		}
		return nil
	}
	r, err := a.use(ctx)
	if err != nil {
		return err
	}
	a.show("build")
	ho := a.imageHost(p, imageOptions{quietBuild: o.quiet})
	ho.NoCache, ho.Pull, ho.BuildArgs = o.noCache, o.pull, args
	return a.perform(ctx, plan, a.hostFor(r, p, nil, ho), nil)
}

// buildArgs reads --build-arg; a key alone takes its value from this process.
func buildArgs(list []string) (map[string]string, error) {
	args := map[string]string{}
	for _, arg := range list {
		key, value, found := strings.Cut(arg, "=")
		if key == "" {
			return nil, fmt.Errorf("invalid --build-arg %q: it is KEY=VALUE", arg)
		}
		if !found {
			v, ok := os.LookupEnv(key)
			if !ok {
				continue
			}
			value = v
		}
		args[key] = value
	}
	return args, nil
}
