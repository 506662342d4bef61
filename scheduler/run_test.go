package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// script is a step of a test, told by its act what to do.
type script struct {
	name string
	do   func(ctx context.Context) error
}

func (s script) String() string                       { return s.name + " (test)" }
func (s script) Progress() (id, doing, done string)   { return s.name, "Doing", "Done" }
func (s script) Do(ctx context.Context, _ Host) error { return s.do(ctx) }

// longScript is one that is given up at the first failure, and takes no slot.
type longScript struct{ script }

func (longScript) interruptible() {}
func (longScript) waiting()       {}

// recorder keeps the events of a run as text.
type recorder struct{ lines []string }

func (r *recorder) notify(e Event) {
	line := string(e.State) + " " + e.ID
	if e.Text != "" {
		line += " " + e.Text
	}
	r.lines = append(r.lines, line)
}

func (r *recorder) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(r.lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(r.lines, "\n"), strings.Join(want, "\n"))
	}
}

func ok(context.Context) error   { return nil }
func fail(context.Context) error { return errors.New("broken") }

func chain(steps ...Step) Plan {
	var p Plan
	for i, s := range steps {
		n := Node{Step: s}
		if i > 0 {
			n.After = []int{i - 1}
		}
		p.Nodes = append(p.Nodes, n)
	}
	return p
}

func TestRunInOrder(t *testing.T) {
	var r recorder
	p := chain(script{"a", ok}, script{"b", ok})
	p.Unchanged = []Ref{{Name: "shop-web-1"}}
	p.Notes = []Note{{ID: "Image x", Text: "Skipped"}}
	if err := Run(t.Context(), p, nil, RunOptions{Notify: r.notify}); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "done Image x Skipped", "done Container shop-web-1 Running",
		"started a Doing", "done a Done", "started b Doing", "done b Done")
}

func TestRunOfNothing(t *testing.T) {
	if err := Run(t.Context(), Plan{}, nil, RunOptions{}); err != nil {
		t.Error(err)
	}
}

func TestNothingBeginsAfterAFailedStep(t *testing.T) {
	var r recorder
	p := chain(script{"a", fail}, script{"b", ok}, script{"c", ok})
	err := Run(t.Context(), p, nil, RunOptions{Notify: r.notify})
	var step *StepError
	if !errors.As(err, &step) || err.Error() != "a: broken" {
		t.Errorf("got %v", err)
	}
	r.expect(t, "started a Doing", "failed a Error", "skipped b", "skipped c")
}

func TestLimitCountsWorkButNotWaiting(t *testing.T) {
	for _, limit := range []int{1, 3} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			var mu sync.Mutex
			now, most, left := 0, 0, 20
			allDone := make(chan struct{})
			var p Plan
			for range left {
				p.Nodes = append(p.Nodes, Node{Step: script{"work", func(context.Context) error {
					mu.Lock()
					now++
					most = max(most, now)
					mu.Unlock()
					mu.Lock()
					now--
					if left--; left == 0 {
						close(allDone)
					}
					mu.Unlock()
					return nil
				}}})
			}
			// More waits than slots, all under way until the work is done.
			for range 2 * limit {
				wait := longScript{script{"wait", func(context.Context) error { <-allDone; return nil }}}
				p.Nodes = append([]Node{{Step: wait}}, p.Nodes...)
			}
			if err := Run(t.Context(), p, nil, RunOptions{Parallel: limit}); err != nil {
				t.Fatal(err)
			}
			if most > limit {
				t.Errorf("%d at a time", most)
			}
		})
	}
}

func TestNoLimit(t *testing.T) {
	const n = 50
	var all sync.WaitGroup
	all.Add(n)
	var p Plan
	for range n {
		p.Nodes = append(p.Nodes, Node{Step: script{"s", func(context.Context) error {
			all.Done()
			all.Wait() // ends only when all are under way
			return nil
		}}})
	}
	if err := Run(t.Context(), p, nil, RunOptions{Parallel: -1}); err != nil {
		t.Fatal(err)
	}
}

func TestFailureLetsWorkEndAndGivesUpWaits(t *testing.T) {
	var r recorder
	givenUp := make(chan struct{})
	p := Plan{Nodes: []Node{
		{Step: longScript{script{"wait", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}}},
		{Step: script{"work", func(ctx context.Context) error { <-givenUp; return ctx.Err() }}},
		{Step: script{"bad", fail}},
		{Step: script{"after work", ok}, After: []int{1}},
	}}
	err := Run(t.Context(), p, nil, RunOptions{Notify: func(e Event) {
		r.notify(e)
		if e.ID == "wait" && e.State == Skipped {
			close(givenUp)
		}
	}})
	if err == nil || err.Error() != "bad: broken" {
		t.Errorf("got %v", err)
	}
	r.expect(t, "started wait Doing", "started work Doing", "started bad Doing",
		"failed bad Error", "skipped wait", "done work Done", "skipped after work")
}

func TestWhatIsHalfDoneIsCompleted(t *testing.T) {
	var r recorder
	stopped := make(chan struct{})
	p := Plan{Nodes: []Node{
		{Step: script{"stop", func(context.Context) error { <-stopped; return nil }}},
		{Step: script{"bad", func(ctx context.Context) error { close(stopped); return fail(ctx) }}},
		{Step: script{"remove", ok}, After: []int{0}, Through: true},
		{Step: longScript{script{"wait", ok}}, After: []int{2}, Through: true},
		{Step: script{"start", ok}, After: []int{2, 3}, Through: true},
		{Step: script{"other stop", ok}, After: []int{1}},
		{Step: script{"other start", ok}, After: []int{5}, Through: true},
	}}
	if err := Run(t.Context(), p, nil, RunOptions{Notify: r.notify, Parallel: 2}); err == nil {
		t.Error("no error")
	}
	for _, want := range []string{"done remove Done", "done wait Done", "done start Done", "skipped other stop", "skipped other start"} {
		if !slices.Contains(r.lines, want) {
			t.Errorf("no %q in\n%s", want, strings.Join(r.lines, "\n"))
		}
	}
}

func TestOptionalFailureIsAWarning(t *testing.T) {
	var r recorder
	p := Plan{Nodes: []Node{
		{Step: script{"a", fail}, Optional: true},
		{Step: script{"needs a", ok}, After: []int{0}, Optional: true},
		{Step: script{"likes a", ok}, Soft: []int{0, 1}},
	}}
	if err := Run(t.Context(), p, nil, RunOptions{Notify: r.notify}); err != nil {
		t.Error(err)
	}
	r.expect(t, "started a Doing", "warning a Error", "skipped needs a", "started likes a Doing", "done likes a Done")
}

func TestWhatIsInUseIsAWarning(t *testing.T) {
	var r recorder
	p := chain(script{"a", func(context.Context) error { return removed(fmt.Errorf("network a: %w", ErrInUse)) }}, script{"b", ok})
	if err := Run(t.Context(), p, nil, RunOptions{Notify: r.notify}); err != nil {
		t.Error(err)
	}
	r.expect(t, "started a Doing", "warning a Resource is still in use", "started b Doing", "done b Done")
}

func TestCancelEndsTheRun(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("interrupted")
	var r recorder
	p := chain(
		script{"a", func(ctx context.Context) error { cancel(cause); <-ctx.Done(); return ctx.Err() }},
		script{"b", ok})
	p.Nodes[1].Through = true
	if err := Run(ctx, p, nil, RunOptions{Notify: r.notify}); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	r.expect(t, "started a Doing", "skipped a", "skipped b")
}

func TestCancelAfterAllIsDoneIsNoError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := chain(script{"a", func(context.Context) error { cancel(); return nil }})
	if err := Run(ctx, p, nil, RunOptions{}); err != nil {
		t.Error(err)
	}
}

// sick is a world whose waits end badly.
type sick struct {
	*world
	err error
}

func (s sick) AwaitHealthy(context.Context, Ref) error   { return s.err }
func (s sick) AwaitCompleted(context.Context, Ref) error { return s.err }

func TestFailedDependencyIsNamed(t *testing.T) {
	const healthy = "services: {web: {image: w, depends_on: {db: {condition: service_healthy}}}, api: {image: a, depends_on: [web]}, db: {image: d, healthcheck: {test: [CMD, t]}}}"
	const job = "services: {web: {image: w, depends_on: {job: {condition: service_completed_successfully}}}, job: {image: j}}"
	for _, tt := range []struct {
		name, file string
		err        error
		want       string
	}{
		{"unhealthy", healthy, &Unhealthy{Container: "shop-db-1", Output: "no\nanswer\n"},
			"dependency failed to start: container shop-db-1 is unhealthy: no | answer; not started: shop-api-1, shop-web-1"},
		{"exited", healthy, &Unhealthy{Container: "shop-db-1", Exited: true, ExitCode: 3},
			"dependency failed to start: container shop-db-1 exited (3); not started: shop-api-1, shop-web-1"},
		{"job", job, &Incomplete{Service: "job", ExitCode: 1},
			`service "job" didn't complete successfully: exit 1; not started: shop-web-1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(load(t, tt.file))
			plan, _, err := Up(w.p, w.live(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			err = Run(t.Context(), plan, sick{w, tt.err}, RunOptions{})
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			for i := range w.containers {
				if c := &w.containers[i]; c.Service == "web" && c.State != StateCreated {
					t.Errorf("%s is %s", c.Name, c.State)
				}
			}
		})
	}
}

func TestOptionalDependencyFailsWithoutHarm(t *testing.T) {
	const file = "services: {web: {image: w, depends_on: {db: {condition: service_healthy, required: false}}}, db: {image: d, healthcheck: {test: [CMD, t]}}}"
	w := newWorld(load(t, file))
	plan, _, err := Up(w.p, w.live(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var r recorder
	if err := Run(t.Context(), plan, sick{w, &Unhealthy{Container: "shop-db-1"}}, RunOptions{Notify: r.notify}); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"warning Container shop-db-1 Error", "done Container shop-web-1 Started"} {
		if !slices.Contains(r.lines, want) {
			t.Errorf("no %q in\n%s", want, strings.Join(r.lines, "\n"))
		}
	}
}

func TestProgressTexts(t *testing.T) {
	p := load(t, "services: {web: {image: w, scale: 2}}")
	w := newWorld(p)
	w.populate(t, "web-1 running old\nweb-2 running\nweb-3 running")
	plan, _, err := Up(p, w.live(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var r recorder
	if err := Run(t.Context(), plan, w, RunOptions{Parallel: 1, Notify: func(e Event) {
		if e.Text != "" {
			r.lines = append(r.lines, e.ID+" "+e.Text)
		}
	}}); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "Container shop-web-2 Running", "Container shop-web-3 Running",
		"Container shop-web-1 Stopping", "Container shop-web-1 Stopped",
		"Container shop-web-1 Removing", "Container shop-web-1 Removed")
}

func TestProgressOfARecreate(t *testing.T) {
	p := load(t, "services: {web: {image: w}}")
	w := newWorld(p)
	w.populate(t, "web-1 running old")
	plan, _, err := Up(p, w.live(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var r recorder
	if err := Run(t.Context(), plan, w, RunOptions{Notify: func(e Event) {
		if e.Text != "" {
			r.lines = append(r.lines, e.Text)
		}
	}}); err != nil {
		t.Fatal(err)
	}
	r.expect(t, "Recreate", "Recreated", "Starting", "Started")
}

func TestStepErrorSaysItsActOnce(t *testing.T) {
	for _, tt := range []struct{ act, err, want string }{
		{"start web-1", "no such file", "start web-1: no such file"},
		{"start web-1", "start shop-web-1: no such file", "start shop-web-1: no such file"},
		{"start web-1", "start the agent: no such file", "start web-1: start the agent: no such file"},
		{"pull image nope:1", "pull nope:1: not found", "pull nope:1: not found"},
	} {
		t.Run(tt.err, func(t *testing.T) {
			e := &StepError{Step: script{name: tt.act}, Err: errors.New(tt.err)}
			if got := e.Error(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
