package scheduler

import (
	"fmt"
	"slices"
	"time"

	"github.com/compose-first/compose/project"
)

// selection is the services that a command other than up works on, with a
// file or without one.
type selection struct {
	p  *project.Project // nil without a file
	g  *graph
	in []bool // by service of g
}

// choose selects the named services, or when there are none all active ones,
// without a file all that have containers. A name that a file does not have
// is an error; without a file it is left out.
func choose(p *project.Project, live Live, services []string) (*selection, error) {
	s := &selection{p: p, g: newGraph(p, live)}
	s.in = make([]bool, len(s.g.names))
	for _, name := range services {
		if p != nil && !active(p, name) {
			return nil, fmt.Errorf("no such service: %s", name)
		}
		if i, ok := s.g.index[name]; ok {
			s.in[i] = true
		}
	}
	if len(services) == 0 {
		for i, name := range s.g.names {
			s.in[i] = p == nil || active(p, name)
		}
	}
	return s, nil
}

// indexes are the selected services.
func (s *selection) indexes() []int {
	var list []int
	for i, in := range s.in {
		if in {
			list = append(list, i)
		}
	}
	return list
}

// containers are those of the selected services, one-offs left out, as a list
// a service.
func (s *selection) containers() [][]*Container {
	lists := make([][]*Container, len(s.in))
	for i, in := range s.in {
		if in {
			lists[i] = s.g.containers[i]
		}
	}
	return lists
}

// stopAll adds stops of all in lists that the filter takes, dependents first,
// and returns the node of each.
func (s *selection) stopAll(b *builder, lists [][]*Container, timeout *time.Duration, because string,
	filter func(*Container) bool) map[*Container]int {
	stops := make([][]stopping, len(lists))
	chosen := make([][]*Container, len(lists))
	for i, list := range lists {
		for _, c := range list {
			if filter(c) {
				step := StopContainer{Ref: c.ref(), Timeout: timeout, Because: because}
				stops[i] = append(stops[i], stopping{step: step})
				chosen[i] = append(chosen[i], c)
			}
		}
	}
	nodes := make(map[*Container]int)
	for i, list := range planStops(s.g, b, stops) {
		for k, node := range list {
			nodes[chosen[i][k]] = node
		}
	}
	return nodes
}

// removeAll adds the removal of all in lists that the filter takes, each after
// its stop, and returns the node of each.
func removeAll(b *builder, lists [][]*Container, stopped map[*Container]int, step RemoveContainer,
	filter func(*Container) bool) map[*Container]int {
	nodes := make(map[*Container]int)
	for _, list := range slices.Backward(lists) {
		for _, c := range list {
			if !filter(c) {
				continue
			}
			step.Ref = c.ref()
			var after []int
			if stop, ok := stopped[c]; ok {
				after = []int{stop}
			}
			nodes[c] = b.add(step, after)
		}
	}
	return nodes
}

func isRunning(c *Container) bool { return c.running() }
func isStopped(c *Container) bool { return !c.running() }
func isAny(*Container) bool       { return true }

// requested is the reason of what a user asked for by the command's name.
const requested = "requested"
