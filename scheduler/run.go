package scheduler

import (
	"container/heap"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// RunOptions are those of Run.
type RunOptions struct {
	Parallel int         // most steps at a time, waiting ones not counted; 0 or less: no limit
	Notify   func(Event) // never called twice at once; nil: nobody listens
}

// States of an Event.
const (
	Started EventState = "started"
	Done    EventState = "done"
	Failed  EventState = "failed"
	Warned  EventState = "warning" // failed, and the plan goes on
	Skipped EventState = "skipped" // not done because of a failure elsewhere
)

// EventState is how far a step is.
type EventState string

// Event is a change of a step's state.
type Event struct {
	Step    Step // nil for what needs no step
	State   EventState
	ID      string // "Container shop-web-1"
	Text    string // "Starting", "Started", "Running", "Error"; "": nothing to show
	Err     error  // with Failed and Warned
	Elapsed time.Duration
}

// StepError is the error of Run: the step that failed first.
type StepError struct {
	Step Step
	Err  error
	// NotStarted are the full names of the containers that were not started
	// because of it, sorted.
	NotStarted []string
}

// Error says what failed, why, and what was not started because of it.
func (e *StepError) Error() string {
	text := e.Err.Error()
	act, _ := splitReason(e.Step.String())
	if _, ok := e.Step.(waiting); !ok && !saysAct(text, act) { // a failed wait names what it waited for
		text = act + ": " + text
	}
	if len(e.NotStarted) > 0 {
		text += "; not started: " + strings.Join(e.NotStarted, ", ")
	}
	return text
}

// saysAct tells whether an error begins with the act already: "start shop-web-1:
// no such file" for "start web-1".
func saysAct(text, act string) bool {
	verb, what, _ := strings.Cut(act, " ")
	said, _, _ := strings.Cut(text, ": ")
	return strings.HasPrefix(said, verb+" ") && strings.HasSuffix(said, what[strings.LastIndex(what, " ")+1:])
}

// Unwrap is the step's own error.
func (e *StepError) Unwrap() error { return e.Err }

// Run does p's steps, each once those that it waits for have ended as it
// needs. After the first failure no step begins, but for those that complete
// what is half done (Node.Through); steps under way end, but for those that
// take long and leave nothing half done, which are cancelled. The error
// returned is a *StepError, or ctx's own when ctx ended.
func Run(ctx context.Context, p Plan, h Host, o RunOptions) error {
	r := newRunner(ctx, p, h, o)
	defer r.giveUp()
	r.reportUnchanged()
	for {
		r.launch()
		if r.working+r.waiting == 0 {
			break
		}
		r.settle(<-r.results)
	}
	r.reportSkipped()
	if err := context.Cause(ctx); err != nil && r.unfinished() {
		return err
	}
	if r.failure != nil {
		r.failure.NotStarted = r.notStarted()
		return r.failure
	}
	return nil
}

// runner is a Run under way. All but the steps themselves happens in the
// goroutine that called Run, so nothing here is locked.
type runner struct {
	plan   Plan
	host   Host
	notify func(Event)
	limit  int // of working; 0: none

	ctx    context.Context // for steps that end what they began
	brief  context.Context // for interruptible steps: over at the first failure
	giveUp context.CancelFunc

	frontier *frontier
	queue    lowest       // ready, and in need of a slot
	state    []EventState // by node; "" before it began
	dead     []bool       // by node: something that it needs has failed
	working  int          // steps under way that count against limit
	waiting  int          // and those that do not
	results  chan result
	failure  *StepError
	cause    int // node of failure
}

type result struct {
	node    int
	err     error
	elapsed time.Duration
}

func newRunner(ctx context.Context, p Plan, h Host, o RunOptions) *runner {
	r := &runner{
		plan:     p,
		host:     h,
		notify:   o.Notify,
		limit:    max(o.Parallel, 0),
		ctx:      ctx,
		frontier: newFrontier(p.Nodes),
		state:    make([]EventState, len(p.Nodes)),
		dead:     make([]bool, len(p.Nodes)),
		results:  make(chan result),
	}
	r.brief, r.giveUp = context.WithCancel(ctx)
	if r.notify == nil {
		r.notify = func(Event) {}
	}
	return r
}

func (r *runner) reportUnchanged() {
	for _, n := range r.plan.Notes {
		r.notify(Event{State: Done, ID: n.ID, Text: n.Text})
	}
	for _, c := range r.plan.Unchanged {
		r.notify(Event{State: Done, ID: containerID(c.Name), Text: "Running"})
	}
}

// launch begins all steps that may begin now, lowest first. Each is looked at
// once: those that lack a slot stay in the queue.
func (r *runner) launch() {
	for r.frontier.ready.Len() > 0 {
		i := heap.Pop(&r.frontier.ready).(int)
		switch {
		case r.dead[i]:
			r.skip(i)
		case r.isWaiting(i):
			if r.mayBegin(i) {
				r.waiting++
				r.begin(i)
			}
		default:
			heap.Push(&r.queue, i)
		}
	}
	for r.queue.Len() > 0 && (r.limit == 0 || r.working < r.limit) {
		if i := heap.Pop(&r.queue).(int); r.mayBegin(i) {
			r.working++
			r.begin(i)
		}
	}
}

// mayBegin is false for a step that is left out; reportSkipped names it.
func (r *runner) mayBegin(i int) bool {
	if r.ctx.Err() != nil {
		return false
	}
	return r.failure == nil || r.plan.Nodes[i].Through
}

func (r *runner) isWaiting(i int) bool {
	_, ok := r.plan.Nodes[i].Step.(waiting)
	return ok
}

// isBrief says whether a step is given up at the first failure.
func (r *runner) isBrief(i int) bool {
	_, ok := r.plan.Nodes[i].Step.(interruptible)
	return ok && !r.plan.Nodes[i].Through
}

func (r *runner) begin(i int) {
	step, ctx := r.plan.Nodes[i].Step, r.ctx
	if r.isBrief(i) {
		ctx = r.brief
	}
	r.state[i] = Started
	id, doing, _ := step.Progress()
	r.notify(Event{Step: step, State: Started, ID: id, Text: doing})
	begun := time.Now()
	go func() {
		err := step.Do(ctx, r.host)
		r.results <- result{node: i, err: err, elapsed: time.Since(begun)}
	}()
}

// settle takes in the outcome of a step.
func (r *runner) settle(res result) {
	if r.isWaiting(res.node) {
		r.waiting--
	} else {
		r.working--
	}
	node := r.plan.Nodes[res.node]
	id, _, done := node.Step.Progress()
	e := Event{Step: node.Step, ID: id, Err: res.err, Elapsed: res.elapsed}
	var k kept
	switch {
	case res.err == nil:
		e.State, e.Text = Done, done
	case r.ctx.Err() != nil || r.failure != nil && r.isBrief(res.node):
		e.State, e.Err = Skipped, nil // given up, not failed
	case errors.As(res.err, &k):
		e.State, e.Text, e.Err = Warned, "Resource is still in use", nil // the text says it all
	case node.Optional:
		e.State, e.Text = Warned, "Error"
	default:
		e.State, e.Text = Failed, "Error"
		r.fail(res.node, res.err)
	}
	r.state[res.node] = e.State
	if e.State != Done && k.err == nil {
		r.doom(res.node)
	}
	r.notify(e)
	r.frontier.pass(res.node)
}

func (r *runner) fail(node int, err error) {
	if r.failure == nil {
		r.failure = &StepError{Step: r.plan.Nodes[node].Step, Err: err}
		r.cause = node
		r.giveUp()
	}
}

// doom marks those that need node i, which did not succeed.
func (r *runner) doom(i int) {
	for _, w := range r.frontier.waiters[i] {
		if slices.Contains(r.plan.Nodes[w].After, i) {
			r.dead[w] = true
		}
	}
}

// skip passes over a step that cannot be done any more.
func (r *runner) skip(i int) {
	r.state[i] = Skipped
	r.doom(i)
	r.reportSkip(i)
	r.frontier.pass(i)
}

func (r *runner) reportSkip(i int) {
	id, _, _ := r.plan.Nodes[i].Step.Progress()
	r.notify(Event{Step: r.plan.Nodes[i].Step, State: Skipped, ID: id})
}

// reportSkipped names the steps that never began.
func (r *runner) reportSkipped() {
	for i, s := range r.state {
		if s == "" {
			r.reportSkip(i)
		}
	}
}

// unfinished says whether anything was left out or given up.
func (r *runner) unfinished() bool {
	return slices.ContainsFunc(r.state, func(s EventState) bool { return s != Done && s != Warned })
}

// notStarted are the containers whose start needed the step that failed.
func (r *runner) notStarted() []string {
	needs := make([]bool, len(r.plan.Nodes))
	needs[r.cause] = true
	var names []string
	for i, n := range r.plan.Nodes {
		if !slices.ContainsFunc(n.After, func(j int) bool { return needs[j] }) {
			continue
		}
		needs[i] = true
		if s, ok := n.Step.(StartContainer); ok {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
