package scheduler

import "github.com/compose-first/compose/project"

// Restart plans a stop, dependents first, and a start, dependencies first, of
// the containers of services, and of the dependents whose entry says so. p is
// nil where only the project's name is known.
func Restart(p *project.Project, live Live, o RestartOptions) (Plan, []Warning, error) {
	s, err := choose(p, live, o.Services)
	if err != nil {
		return Plan{}, nil, err
	}
	if p == nil {
		if err := s.checkNamed(o.Services); err != nil {
			return Plan{}, nil, err
		}
	}
	because := s.restarting(o.NoDeps)
	var b builder
	stops := make([][]stopping, len(s.in))
	for i, list := range s.containers() {
		for _, c := range list {
			step := StopContainer{Ref: c.ref(), Timeout: o.Timeout, Kind: StopRestart, Because: because[i]}
			stops[i] = append(stops[i], stopping{step: step})
		}
	}
	stopped := planStops(s.g, &b, stops)
	st := newStarter(s.g, &b)
	for i, list := range s.g.containers {
		for k, c := range list {
			u := unit{ref: c.ref(), live: c}
			if s.in[i] {
				u.start, u.again, u.through = true, true, true
				u.because, u.before = because[i], stopped[i][k:k+1]
			}
			st.units[i] = append(st.units[i], u)
		}
	}
	st.plan()
	plan, err := b.plan()
	return plan, nil, err
}

// restarting selects the dependents too that restart with what they depend
// on, and returns the reason of each selected service.
func (s *selection) restarting(noDeps bool) []string {
	because := make([]string, len(s.in))
	for i := range s.in {
		if s.in[i] {
			because[i] = "restart"
			continue
		}
		for _, e := range s.g.needs[i] {
			if e.restart && s.in[e.to] && !noDeps {
				s.in[i] = true
				because[i] = s.g.names[e.to] + " is restarted"
				break
			}
		}
	}
	return because
}
