package scheduler

import "github.com/compose-first/compose/project"

// Build plans the builds of services, whatever is there: of all that can be
// built, or of the named ones.
func Build(p *project.Project, o BuildOptions) (Plan, []Warning, error) {
	services, err := selectServices(p, o.Services, o.WithDeps)
	if err != nil {
		return Plan{}, nil, err
	}
	m := newImages(p, nil, ImageOptions{Build: true})
	for _, name := range services {
		if p.Services[name].Build == nil {
			continue
		}
		if err := m.want(name); err != nil {
			return Plan{}, nil, err
		}
	}
	for _, need := range m.needs {
		if need.because == "--build" {
			need.because = requested
		}
	}
	if len(m.needs) == 0 {
		return Plan{}, []Warning{warning("No services to build")}, nil
	}
	plan, err := m.plan()
	return plan, nil, err
}
