package scheduler

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Plan is what there is to do: a graph of steps, in an order in which they
// could also be done one by one.
type Plan struct {
	Nodes []Node
	// Unchanged are the containers that run as they should. Run reports each
	// of them, and does nothing to them.
	Unchanged []Ref
	Notes     []Note // shown first
}

// Node is a step and its place in the plan.
type Node struct {
	Step Step
	// After are the nodes, by index, that must have succeeded first; all are
	// smaller than the node's own.
	After []int
	// Soft are the nodes that must have ended first, whichever way.
	Soft []int
	// Optional makes a failure of the step a warning.
	Optional bool
	// Through makes the step happen even after an unrelated one has failed,
	// because those before it left something half done: the old container is
	// stopped, and the new one does not run yet.
	Through bool
}

// Note is something to show of what needs no step.
type Note struct {
	ID   string // "Image nginx"
	Text string // "Skipped Image can be built"
}

// Empty says whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Nodes) == 0 }

// String is one line a step, numbered from 1.
func (p Plan) String() string {
	var b strings.Builder
	for i, n := range p.Nodes {
		b.WriteString(strconv.Itoa(i + 1))
		b.WriteByte(' ')
		b.WriteString(n.Step.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// MarshalJSON is an array with one object a step: step (its act), id (what it
// acts on), reason, and after, the numbers of the steps before it as String
// shows them.
func (p Plan) MarshalJSON() ([]byte, error) {
	type line struct {
		Step   string `json:"step"`
		ID     string `json:"id"`
		Reason string `json:"reason,omitempty"`
		After  []int  `json:"after"`
	}
	lines := make([]line, len(p.Nodes))
	for i, n := range p.Nodes {
		id, _, _ := n.Step.Progress()
		act, reason := splitReason(n.Step.String())
		l := line{Step: act, ID: id, Reason: reason, After: make([]int, 0, len(n.After)+len(n.Soft))}
		for _, before := range [][]int{n.After, n.Soft} {
			for _, j := range before {
				l.After = append(l.After, j+1)
			}
		}
		lines[i] = l
	}
	b, err := json.Marshal(lines)
	if err != nil {
		return nil, fmt.Errorf("encode plan: %w", err)
	}
	return b, nil
}

// splitReason parts "create web-2 (scaled to 2)" in its act and its reason.
func splitReason(line string) (act, reason string) {
	act, rest, found := strings.Cut(line, " (")
	if !found {
		return line, ""
	}
	return act, strings.TrimSuffix(rest, ")")
}
