package scheduler

// stopping is a container to stop.
type stopping struct {
	step  StopContainer
	after []int // besides its dependents' stops
}

// planStops adds the stops of each service's list, in the reverse order of
// dependencies: those of a service come after those of its dependents, or,
// where a dependent has none, of the dependents of that one. It returns the
// nodes, by service and place in its list.
func planStops(g *graph, b *builder, lists [][]stopping) [][]int {
	nodes := make([][]int, len(lists))
	last := make([][]int, len(lists)) // by service: what a dependency's stop comes after
	for i := len(lists) - 1; i >= 0; i-- {
		var before []int
		for _, e := range g.neededBy[i] {
			before = append(before, last[e.to]...)
		}
		if len(lists[i]) == 0 {
			last[i] = b.list([][]int{before})
			continue
		}
		for _, s := range lists[i] {
			nodes[i] = append(nodes[i], b.add(s.step, before, s.after))
		}
		last[i] = nodes[i]
	}
	return nodes
}
