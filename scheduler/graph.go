package scheduler

import (
	"maps"
	"slices"

	"github.com/compose-first/compose/project"
)

// graph is the services that a plan may touch and how they depend on each
// other: as the file says, and as the containers' own records say for services
// that the file does not have. It has no circle.
type graph struct {
	names    []string // dependencies first
	index    map[string]int
	needs    [][]edge // by service
	neededBy [][]edge // by service: its dependents, with the same conditions

	containers [][]*Container // by service, one-offs left out, in the order of Live
}

// edge is a dependency, seen from either end.
type edge struct {
	to        int // service at the other end
	condition string
	restart   bool
	required  bool
}

// newGraph reads the active services of p, which may be nil, and those of the
// containers.
func newGraph(p *project.Project, live Live) *graph {
	needs, names := dependencies(p, live)
	g := &graph{index: make(map[string]int, len(names))}
	g.order(names, needs)
	g.link(needs)
	g.containers = make([][]*Container, len(g.names))
	for i := range live.Containers {
		c := &live.Containers[i]
		if s, ok := g.index[c.Service]; ok && !c.OneOff {
			g.containers[s] = append(g.containers[s], c)
		}
	}
	return g
}

// dependencies returns the services, sorted, and what each depends on.
func dependencies(p *project.Project, live Live) (map[string][]project.Dependency, []string) {
	var needs map[string][]project.Dependency
	if p == nil {
		needs = make(map[string][]project.Dependency)
	} else {
		needs = make(map[string][]project.Dependency, len(p.Services))
		for name := range p.Services {
			needs[name] = p.Dependencies(name)
		}
	}
	for i := range live.Containers {
		c := &live.Containers[i]
		if !active(p, c.Service) {
			needs[c.Service] = union(needs[c.Service], c.DependsOn)
		}
	}
	return needs, slices.Sorted(maps.Keys(needs))
}

func active(p *project.Project, service string) bool {
	if p == nil {
		return false
	}
	_, ok := p.Services[service]
	return ok
}

// union is a with those of b whose service a does not have.
func union(a, b []project.Dependency) []project.Dependency {
	for _, d := range b {
		if !slices.ContainsFunc(a, func(x project.Dependency) bool { return x.Service == d.Service }) {
			a = append(slices.Clip(a), d)
		}
	}
	return a
}

// order fills names and index, dependencies first. What closes a circle is
// not followed: a file has none, and containers of several generations may.
func (g *graph) order(names []string, needs map[string][]project.Dependency) {
	type visit struct {
		name string
		next int // dependency to look at
	}
	g.names = make([]string, 0, len(names))
	seen := make(map[string]bool, len(names))
	var stack []visit
	for _, root := range names {
		if seen[root] {
			continue
		}
		seen[root] = true
		stack = append(stack[:0], visit{name: root})
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			deps := needs[top.name]
			if top.next == len(deps) {
				g.index[top.name] = len(g.names)
				g.names = append(g.names, top.name)
				stack = stack[:len(stack)-1]
				continue
			}
			to := deps[top.next].Service
			top.next++
			if _, known := needs[to]; known && !seen[to] {
				seen[to] = true
				stack = append(stack, visit{name: to})
			}
		}
	}
}

// link fills needs and neededBy, each cut from one allocation.
func (g *graph) link(needs map[string][]project.Dependency) {
	total := 0
	count := make([]int, len(g.names))
	for i, name := range g.names {
		for _, d := range needs[name] {
			if j, ok := g.index[d.Service]; ok && j < i {
				count[j]++
				total++
			}
		}
	}
	forth, back := make([]edge, 0, total), make([]edge, total)
	g.needs = make([][]edge, len(g.names))
	g.neededBy = make([][]edge, len(g.names))
	for i, c := range count {
		g.neededBy[i], back = back[:0:c], back[c:]
	}
	for i, name := range g.names {
		start := len(forth)
		for _, d := range needs[name] {
			j, ok := g.index[d.Service]
			if !ok || j >= i { // not there, or closing a circle
				continue
			}
			e := edge{to: j, condition: d.Condition, restart: d.Restart, required: d.Required}
			forth = append(forth, e)
			e.to = i
			g.neededBy[j] = append(g.neededBy[j], e)
		}
		g.needs[i] = slices.Clip(forth[start:])
	}
}

// closure marks the services of roots and all that they depend on; with
// required, what they cannot do without.
func (g *graph) closure(roots []int, required bool) []bool {
	in := make([]bool, len(g.names))
	for _, r := range roots {
		in[r] = true
	}
	for i := len(g.names) - 1; i >= 0; i-- {
		if !in[i] {
			continue
		}
		for _, e := range g.needs[i] {
			in[e.to] = in[e.to] || e.required || !required
		}
	}
	return in
}
