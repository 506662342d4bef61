package project

import (
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// graph holds the dependencies between active services, both ways.
type graph struct {
	needs    map[string][]Dependency // sorted by service
	neededBy map[string][]string     // sorted
}

// Dependencies returns what service depends on: its depends_on and what
// links, volumes_from and the service: modes imply. It is sorted by name and
// holds active services only. The caller must not change it.
func (p *Project) Dependencies(service string) []Dependency { return p.graph.needs[service] }

// Dependents returns the active services that depend on service, sorted. The
// caller must not change it.
func (p *Project) Dependents(service string) []string { return p.graph.neededBy[service] }

// WithDependencies returns services and all that they depend on, sorted; with
// none named, all active services. Names that are not active services are
// left out.
func (p *Project) WithDependencies(services ...string) []string {
	if len(services) == 0 {
		return slices.Sorted(maps.Keys(p.Services))
	}
	seen := make(map[string]bool)
	queue := slices.Clone(services)
	for len(queue) > 0 {
		name := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if _, active := p.Services[name]; !active || seen[name] {
			continue
		}
		seen[name] = true
		for _, d := range p.graph.needs[name] {
			queue = append(queue, d.Service)
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// newGraph reads the dependencies of all services. Its cost is linear in
// services and dependencies.
func newGraph(services types.Services) graph {
	g := graph{
		needs:    make(map[string][]Dependency, len(services)),
		neededBy: make(map[string][]string, len(services)),
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		deps := dependencies(services[name])
		active := make([]Dependency, 0, len(deps))
		for _, target := range slices.Sorted(maps.Keys(deps)) {
			if _, ok := services[target]; !ok {
				continue
			}
			active = append(active, deps[target])
			g.neededBy[target] = append(g.neededBy[target], name)
		}
		g.needs[name] = active
	}
	return g
}

// dependencies returns explicit and implied dependencies of s by service; an
// explicit one wins.
// Source: Compose Specification, 05-services.md; which of the implied ones
// restart with their target is as in Docker Compose.
func dependencies(s types.ServiceConfig) map[string]Dependency {
	deps := make(map[string]Dependency, len(s.DependsOn))
	for target, d := range s.DependsOn {
		condition := d.Condition
		if condition == "" {
			condition = ConditionStarted
		}
		deps[target] = Dependency{Service: target, Condition: condition, Restart: d.Restart, Required: d.Required}
	}
	imply := func(target string, restart bool) {
		if _, explicit := deps[target]; !explicit {
			deps[target] = Dependency{Service: target, Condition: ConditionStarted, Restart: restart, Required: true}
		}
	}
	for _, l := range s.Links {
		target, _, _ := strings.Cut(l, ":")
		imply(target, true)
	}
	for _, mode := range []string{s.NetworkMode, s.Ipc, s.Pid} {
		if target, ok := strings.CutPrefix(mode, types.ServicePrefix); ok {
			imply(target, true)
		}
	}
	for _, from := range s.VolumesFrom {
		if !strings.HasPrefix(from, types.ContainerPrefix) {
			target, _, _ := strings.Cut(from, ":")
			imply(target, false)
		}
	}
	return deps
}

// findCycle returns a cycle among needs as its services in order, the first
// one repeated at the end, or nil. Of several cycles it is always the same.
func (g graph) findCycle() []string {
	const (
		unseen = iota
		open
		done
	)
	type frame struct {
		name string
		next int // index of the dependency to visit
	}
	state := make(map[string]int, len(g.needs))
	for _, root := range slices.Sorted(maps.Keys(g.needs)) {
		if state[root] != unseen {
			continue
		}
		stack := []frame{{name: root}}
		state[root] = open
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			deps := g.needs[top.name]
			if top.next == len(deps) {
				state[top.name] = done
				stack = stack[:len(stack)-1]
				continue
			}
			target := deps[top.next].Service
			top.next++
			switch state[target] {
			case unseen:
				state[target] = open
				stack = append(stack, frame{name: target})
			case open:
				start := slices.IndexFunc(stack, func(f frame) bool { return f.name == target })
				var cycle []string
				for _, f := range stack[start:] {
					cycle = append(cycle, f.name)
				}
				return append(cycle, target)
			}
		}
	}
	return nil
}
