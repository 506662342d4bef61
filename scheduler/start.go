package scheduler

import (
	"fmt"

	"github.com/compose-first/compose/project"
)

// Start plans the start of the containers that services and their
// dependencies have, dependencies first and their conditions met. p is nil
// where only the project's name is known.
func Start(p *project.Project, live Live, o StartOptions) (Plan, []Warning, error) {
	s, err := choose(p, live, o.Services)
	if err != nil {
		return Plan{}, nil, err
	}
	if err := s.checkStart(live, o.Services); err != nil {
		return Plan{}, nil, err
	}
	roots := s.indexes()
	s.in = s.g.closure(roots, false)
	needed := s.g.closure(roots, true)
	if err := s.checkStartable(needed); err != nil {
		return Plan{}, nil, err
	}
	var b builder
	st := newStarter(s.g, &b)
	for i, list := range s.containers() {
		st.optional[i] = !needed[i]
		st.ready[i] = o.Wait && s.in[i]
		for _, c := range list {
			st.units[i] = append(st.units[i], unit{ref: c.ref(), live: c, start: !c.running(), because: idle(c)})
		}
	}
	st.plan()
	plan, err := b.plan()
	return plan, nil, err
}

// checkStart refuses, without a file, what there is nothing of.
func (s *selection) checkStart(live Live, services []string) error {
	if s.p != nil {
		return nil
	}
	if len(live.Containers) == 0 {
		return fmt.Errorf("no container found for project %q: %w", live.Project, ErrNotFound)
	}
	return s.checkNamed(services)
}

// checkNamed refuses names that no container has.
func (s *selection) checkNamed(services []string) error {
	for _, name := range services {
		if i, ok := s.g.index[name]; !ok || len(s.g.containers[i]) == 0 {
			return fmt.Errorf("no such service: %q: %w", name, ErrNotFound)
		}
	}
	return nil
}

// checkStartable refuses a service of the file that should have containers and
// has none.
func (s *selection) checkStartable(needed []bool) error {
	if s.p == nil {
		return nil
	}
	for i, name := range s.g.names {
		if !needed[i] || len(s.g.containers[i]) > 0 || !active(s.p, name) {
			continue
		}
		if s.p.Services[name].Provider == nil && s.p.Replicas(name) > 0 {
			return fmt.Errorf("service %q has no container to start", name)
		}
	}
	return nil
}
