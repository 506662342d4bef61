package scheduler

import "github.com/compose-first/compose/project"

// defaultKillSignal is the signal of Kill when none is given.
// Source: docker compose kill --help.
const defaultKillSignal = "SIGKILL"

// Kill plans a signal to the running containers of services, one-offs
// included, all at once. p is nil where only the project's name is known.
func Kill(p *project.Project, live Live, o KillOptions) (Plan, []Warning, error) {
	s, err := choose(p, live, o.Services)
	if err != nil {
		return Plan{}, nil, err
	}
	signal := o.Signal
	if signal == "" {
		signal = defaultKillSignal
	}
	var b builder
	for i := range live.Containers {
		c := &live.Containers[i]
		if c.running() && (s.in[s.g.index[c.Service]] || o.Orphans && s.isOrphan(c)) {
			b.add(KillContainer{Ref: c.ref(), Signal: signal, Because: signal})
		}
	}
	plan, err := b.plan()
	return plan, nil, err
}

// isOrphan says whether the file does not have the service of c.
func (s *selection) isOrphan(c *Container) bool {
	if s.p == nil {
		return false
	}
	_, disabled := s.p.DisabledServices[c.Service]
	return !active(s.p, c.Service) && !disabled
}
