package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/project"
)

// load loads the project that the command line means, its services named
// there active, and tells its warnings.
func (a *app) load(ctx context.Context, services ...string) (*project.Project, error) {
	return a.loadWith(ctx, a.projectOptions(services...))
}

func (a *app) loadWith(ctx context.Context, o project.Options) (*project.Project, error) {
	p, err := project.Load(ctx, o)
	if err != nil {
		return nil, err
	}
	for _, w := range p.Warnings {
		a.warn("%s", w)
	}
	a.tellOptions(p)
	return p, nil
}

// tellOptions warns of options of networks that nobody heeds. Networks that
// cannot be are left to the command that makes them.
func (a *app) tellOptions(p *project.Project) {
	for _, key := range slices.Sorted(maps.Keys(p.Networks)) {
		if p.Networks[key].External {
			continue
		}
		n, err := netplan.Define(p.Name, key, p.NetworkHash(key), p.Networks[key])
		if err != nil {
			continue
		}
		for _, option := range n.Unknown() {
			a.warn("network %q: option %q of driver_opts is not honoured", key, option)
		}
	}
}

// target is the project that a command works on which needs no file: with -p
// and no -f, or with COMPOSE_PROJECT_NAME where there is no file, p is nil and
// all that is known is what exists.
func (a *app) target(ctx context.Context, services ...string) (name string, p *project.Project, err error) {
	o := a.projectOptions(services...)
	if a.global.name != "" && len(a.global.files) == 0 {
		name, err = project.Name(ctx, o)
		return name, nil, err
	}
	p, err = a.loadWith(ctx, o)
	if err == nil {
		return p.Name, p, nil
	}
	if !errors.Is(err, project.ErrNoFile) || os.Getenv("COMPOSE_PROJECT_NAME") == "" {
		return "", nil, err
	}
	name, err = project.Name(ctx, o)
	return name, nil, err
}

// noSuchService is the error of a service that a project does not have.
func noSuchService(name string) error { return fmt.Errorf("no such service: %s", name) }
