package scheduler

import (
	"slices"

	"github.com/compose-first/compose/project"
)

// Remove plans the removal of the stopped containers of services, or with
// Stop of all of them. p is nil where only the project's name is known.
func Remove(p *project.Project, live Live, o RemoveOptions) (Plan, []Warning, error) {
	s, err := choose(p, live, o.Services)
	if err != nil {
		return Plan{}, nil, err
	}
	var b builder
	filter, stopped := isStopped, map[*Container]int(nil)
	lists := s.containers()
	if o.Stop {
		filter = isAny
		stopped = s.stopAll(&b, lists, o.Timeout, requested, isRunning)
	}
	removeAll(&b, lists, stopped, RemoveContainer{Volumes: o.Volumes, Because: requested}, filter)
	plan, err := b.plan()
	return plan, nil, err
}

// Removals are the full names of the containers that p removes for good,
// sorted.
func (p Plan) Removals() []string {
	var names []string
	for _, n := range p.Nodes {
		if s, ok := n.Step.(RemoveContainer); ok && !s.Replaced {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return names
}
