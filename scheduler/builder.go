package scheduler

import (
	"container/heap"
	"errors"
	"slices"
)

// errKnot means that steps wait for each other in a circle. Planning makes no
// such plan; should it ever, nothing is run.
var errKnot = errors.New("the plan's steps wait for each other in a circle")

// none is the node of a step that the plan does not have.
const none = -1

// builder collects nodes. They may be added in any order, and wait for nodes
// that are added later: plan puts them in order.
type builder struct {
	nodes    []Node
	arena    []int // where After lists are cut from, many to an allocation
	forward  bool  // some node waits for a later one
	optional bool  // given to the nodes added from now on
}

// arenaSize is how many node numbers are allocated at a time.
const arenaSize = 4096

// add adds a step that waits for the nodes of all lists, none left out.
func (b *builder) add(s Step, after ...[]int) int {
	b.nodes = append(b.nodes, Node{Step: s, After: b.list(after), Optional: b.optional})
	return len(b.nodes) - 1
}

// after makes node i wait for node j too.
func (b *builder) after(i, j int) {
	if i == none || j == none || slices.Contains(b.nodes[i].After, j) {
		return
	}
	b.nodes[i].After = append(b.nodes[i].After, j)
	b.forward = b.forward || j > i
}

// list is the union of lists, in order.
func (b *builder) list(lists [][]int) []int {
	total := 0
	for _, l := range lists {
		total += len(l)
	}
	if total == 0 {
		return nil
	}
	if cap(b.arena)-len(b.arena) < total {
		b.arena = make([]int, 0, max(arenaSize, total))
	}
	start := len(b.arena)
	for _, l := range lists {
		for _, n := range l {
			if n != none {
				b.arena = append(b.arena, n)
			}
		}
	}
	all := b.arena[start:]
	slices.Sort(all)
	all = slices.Compact(all)
	b.arena = b.arena[:start+len(all)]
	if len(all) > 0 && all[len(all)-1] >= len(b.nodes) {
		b.forward = true
	}
	return slices.Clip(all)
}

// plan is the nodes in an order in which each comes after those it waits for,
// and otherwise in the order of their being added.
func (b *builder) plan() (Plan, error) {
	if !b.forward {
		return Plan{Nodes: b.nodes}, nil
	}
	order, err := b.sorted()
	if err != nil {
		return Plan{}, err
	}
	place := make([]int, len(order))
	for to, from := range order {
		place[from] = to
	}
	nodes := make([]Node, len(order))
	for to, from := range order {
		n := b.nodes[from]
		n.After = moved(n.After, place)
		n.Soft = moved(n.Soft, place)
		nodes[to] = n
	}
	return Plan{Nodes: nodes}, nil
}

func (b *builder) sorted() ([]int, error) {
	f := newFrontier(b.nodes)
	order := make([]int, 0, len(b.nodes))
	for f.ready.Len() > 0 {
		i := heap.Pop(&f.ready).(int)
		order = append(order, i)
		f.pass(i)
	}
	if len(order) < len(b.nodes) {
		return nil, errKnot
	}
	return order, nil
}

func moved(list, place []int) []int {
	if len(list) == 0 {
		return nil
	}
	to := make([]int, len(list))
	for i, n := range list {
		to[i] = place[n]
	}
	slices.Sort(to)
	return to
}

// frontier knows which nodes wait for nothing more, lowest first.
type frontier struct {
	ready   lowest
	waits   []int   // by node: how many it still waits for
	waiters [][]int // by node: those that wait for it
}

func newFrontier(nodes []Node) *frontier {
	f := &frontier{waits: make([]int, len(nodes)), waiters: waiters(nodes)}
	for i, n := range nodes {
		f.waits[i] = len(n.After) + len(n.Soft)
		if f.waits[i] == 0 {
			f.ready = append(f.ready, i) // ascending, so a heap already
		}
	}
	return f
}

// pass tells those that wait for node i that it has ended.
func (f *frontier) pass(i int) {
	for _, w := range f.waiters[i] {
		if f.waits[w]--; f.waits[w] == 0 {
			heap.Push(&f.ready, w)
		}
	}
}

// waiters lists, by node, the nodes that wait for it, cut from one allocation.
func waiters(nodes []Node) [][]int {
	count := make([]int, len(nodes))
	total := 0
	for _, n := range nodes {
		for _, l := range [2][]int{n.After, n.Soft} {
			total += len(l)
			for _, j := range l {
				count[j]++
			}
		}
	}
	arena := make([]int, total)
	lists := make([][]int, len(nodes))
	for i, c := range count {
		lists[i], arena = arena[:0:c], arena[c:]
	}
	for i, n := range nodes {
		for _, l := range [2][]int{n.After, n.Soft} {
			for _, j := range l {
				lists[j] = append(lists[j], i)
			}
		}
	}
	return lists
}

// lowest is a heap of node numbers.
type lowest []int

func (l lowest) Len() int           { return len(l) }
func (l lowest) Less(i, j int) bool { return l[i] < l[j] }
func (l lowest) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lowest) Push(x any)        { *l = append(*l, x.(int)) }
func (l *lowest) Pop() any {
	old := *l
	x := old[len(old)-1]
	*l = old[:len(old)-1]
	return x
}
