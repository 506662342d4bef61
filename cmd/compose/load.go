package main

import (
	"context"
	"errors"
	"fmt"
	"os"

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
	return p, nil
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
