package scheduler

import (
	"slices"

	"github.com/compose-first/compose/project"
)

// unit is a container as starting sees it.
type unit struct {
	ref     Ref
	live    *Container // nil: an earlier step creates it
	start   bool
	because string
	again   bool  // it was stopped in order to start again
	through bool  // it must start, once its predecessor was stopped
	before  []int // nodes that come first, besides the dependencies' own
}

// starter adds starts in the order of dependencies, and between them the
// waiting that their conditions ask for.
type starter struct {
	g     *graph
	b     *builder
	units [][]unit // by service; those not started too, since others may wait for them

	starting []bool // by service: something of it starts, so its conditions count
	optional []bool // by service: nothing needs it
	ready    []bool // by service: wait until it is ready

	started   [][]int // by service: nodes
	healthy   [][]int
	completed [][]int
}

func newStarter(g *graph, b *builder) *starter {
	n := len(g.names)
	return &starter{
		g: g, b: b,
		units:    make([][]unit, n),
		starting: make([]bool, n), optional: make([]bool, n), ready: make([]bool, n),
		started: make([][]int, n), healthy: make([][]int, n), completed: make([][]int, n),
	}
}

func (s *starter) plan() {
	for i, units := range s.units {
		for _, u := range units {
			s.starting[i] = s.starting[i] || u.start
		}
	}
	for i := range s.units {
		if len(s.units[i]) == 0 {
			continue
		}
		s.b.optional = s.optional[i]
		s.addStarts(i)
		s.addAwaits(i)
		s.b.optional = false
	}
}

func (s *starter) addStarts(i int) {
	if !s.starting[i] {
		return
	}
	var after, soft []int
	for _, e := range s.g.needs[i] {
		nodes := s.conditionNodes(e)
		if e.required {
			after = append(after, nodes...)
		} else {
			soft = append(soft, nodes...)
		}
	}
	soft = s.b.list([][]int{soft})
	s.started[i] = make([]int, 0, len(s.units[i]))
	for k := range s.units[i] {
		u := &s.units[i][k]
		if !u.start {
			continue
		}
		node := s.b.add(StartContainer{Ref: u.ref, Again: u.again, Because: u.because}, u.before, after)
		s.b.nodes[node].Soft = soft
		s.b.nodes[node].Through = u.through
		s.started[i] = append(s.started[i], node)
	}
}

// conditionNodes are the nodes that end when the dependency e is met.
func (s *starter) conditionNodes(e edge) []int {
	switch e.condition {
	case project.ConditionHealthy:
		return s.healthy[e.to]
	case project.ConditionCompleted:
		return s.completed[e.to]
	}
	return s.started[e.to]
}

func (s *starter) addAwaits(i int) {
	healthy := s.whoWaits(i, project.ConditionHealthy)
	completed := s.whoWaits(i, project.ConditionCompleted)
	if len(healthy.names)+len(completed.names) == 0 && !s.ready[i] {
		return
	}
	endsByItself := s.ready[i] && s.mustComplete(i)
	begun := 0 // place in s.started[i]
	for k := range s.units[i] {
		u := &s.units[i][k]
		var after []int
		if u.start {
			after = s.started[i][begun : begun+1]
			begun++
		}
		if len(healthy.names) > 0 && u.waitHealthy() {
			node := s.await(AwaitHealthy{Ref: u.ref, For: healthy.names}, healthy, s.ready[i], after)
			s.healthy[i] = append(s.healthy[i], node)
		}
		switch {
		case len(completed.names) > 0 && u.waitCompleted():
			node := s.await(AwaitCompleted{Ref: u.ref, For: completed.names}, completed, s.ready[i], after)
			s.completed[i] = append(s.completed[i], node)
		case endsByItself && u.waitCompleted():
			s.b.add(AwaitCompleted{Ref: u.ref, For: []string{"--wait"}}, after)
		case s.ready[i] && !endsByItself && len(healthy.names) == 0 && u.waitReady():
			s.b.add(AwaitReady{Ref: u.ref, Because: "--wait"}, after)
		}
	}
}

// await adds a wait; wanted is whether the user asked for it too.
func (s *starter) await(step Step, w dependents, wanted bool, after []int) int {
	node := s.b.add(step, after)
	s.b.nodes[node].Through = w.through
	s.b.nodes[node].Optional = s.b.optional || !w.required && !wanted
	return node
}

// dependents are the services that wait for a condition of another.
type dependents struct {
	names    []string // sorted
	required bool     // one of them cannot do without
	through  bool     // one of them must start
}

func (s *starter) whoWaits(i int, condition string) dependents {
	var w dependents
	for _, e := range s.g.neededBy[i] {
		if e.condition != condition || !s.starting[e.to] {
			continue
		}
		w.names = append(w.names, s.g.names[e.to])
		w.required = w.required || e.required
		for k := range s.units[e.to] {
			w.through = w.through || s.units[e.to][k].through
		}
	}
	slices.Sort(w.names)
	return w
}

// mustComplete says whether a service depends on i's having completed.
func (s *starter) mustComplete(i int) bool {
	for _, e := range s.g.neededBy[i] {
		if e.condition == project.ConditionCompleted {
			return true
		}
	}
	return false
}

func (u *unit) waitHealthy() bool {
	return u.start || u.live != nil && u.live.running() && u.live.Health != HealthHealthy
}

func (u *unit) waitCompleted() bool {
	return u.start || u.live != nil && u.live.running()
}

func (u *unit) waitReady() bool {
	if u.start {
		return true
	}
	return u.live != nil && u.live.running() && u.live.Health != "" && u.live.Health != HealthHealthy
}
