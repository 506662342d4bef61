package scheduler

import "github.com/compose-first/compose/project"

// Stop plans the stop of services, dependents first. p is nil where only the
// project's name is known: services and their order then come from the
// containers. Containers that do not run are stopped too, so that no restart
// policy starts them again.
func Stop(p *project.Project, live Live, o StopOptions) (Plan, []Warning, error) {
	s, err := choose(p, live, o.Services)
	if err != nil {
		return Plan{}, nil, err
	}
	var b builder
	s.stopAll(&b, s.containers(), o.Timeout, requested, isAny)
	plan, err := b.plan()
	return plan, nil, err
}
