package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apievents "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/typeurl/v2"

	"github.com/compose-first/compose/internal/process"
)

// Each end of a run is told of once, whichever of the events of it come.
func TestEachEndOnce(t *testing.T) {
	start := func(id string, pid uint32) any { return &apievents.TaskStart{ContainerID: id, Pid: pid} }
	exit := func(id string, pid, code uint32) any {
		return &apievents.TaskExit{ContainerID: id, ID: id, Pid: pid, ExitStatus: code}
	}
	for _, tt := range []struct {
		name string
		of   []any
		want string // ends: container, pid, exit code
	}{
		{"told by the shim and by whoever deletes the task", []any{start("a", 7), exit("a", 7, 5), exit("a", 7, 5)}, "a 7 5"},
		{"a second run", []any{exit("a", 7, 5), exit("a", 7, 5), start("a", 8), exit("a", 8, 0), exit("a", 8, 0)}, "a 7 5, a 8 0"},
		{"the shim of a run tells of it in the next", []any{exit("a", 7, 5), start("a", 8), exit("a", 7, 5), exit("a", 8, 1)}, "a 7 5, a 8 1"},
		{"a second run has the pid of the first", []any{exit("a", 7, 5), start("a", 7), exit("a", 7, 6)}, "a 7 5, a 7 6"},
		{"containerd does not know the pid", []any{start("a", 7), exit("a", 0, 255), start("a", 8), exit("a", 0, 255)}, "a 0 255, a 0 255"},
		{"nor after the shim has told", []any{start("a", 7), exit("a", 7, 5), exit("a", 0, 255)}, "a 7 5"},
		{"another container with that pid", []any{exit("a", 7, 5), exit("b", 7, 6)}, "a 7 5, b 7 6"},
		{"the end of an exec is not the container's", []any{&apievents.TaskExit{ContainerID: "a", ID: "x", Pid: 7, ExitStatus: 1}, exit("a", 7, 5)}, "a 7 5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			told := newEndMemory()
			var got []string
			for _, payload := range tt.of {
				any, err := typeurl.MarshalAny(payload)
				if err != nil {
					t.Fatal(err)
				}
				if e, ok := eventOf(&events.Envelope{Event: any}); ok && told.first(e) && e.Type == EventDie {
					got = append(got, fmt.Sprint(e.ID, " ", e.PID, " ", e.ExitCode))
				}
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

func TestEndMemoryIsBounded(t *testing.T) {
	told := newEndMemory()
	for pid := range uint32(3 * endsRemembered) {
		if !told.first(Event{Type: EventDie, ID: "a", PID: pid}) {
			t.Fatalf("%d is new", pid)
		}
	}
	for range 3 { // a pid that comes again takes no second place
		told.first(Event{Type: EventStart, ID: "b", PID: 7})
		told.first(Event{Type: EventDie, ID: "b", PID: 7})
	}
	if len(told.seen) != endsRemembered || len(told.order) != endsRemembered {
		t.Errorf("%d and %d are remembered", len(told.seen), len(told.order))
	}
}

// Of a container whose shim is killed one end is told, and of one that ends
// by itself and is taken away at once.
func TestOneEndOfARun(t *testing.T) {
	events, errs := shared.Events(t.Context(), "")
	killed := create(t, shell("sleep 100"))
	standIn(t, killed.id)
	killed.start()
	pid := int(inspect(t, killed.id).PID)
	shim, runs := process.Of(process.Parent(pid))
	if !runs {
		t.Fatalf("process %d has no shim", pid)
	}
	if err := shim.Kill(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	const anyCode = -1 // containerd may be too slow to find out
	want := map[string]int{killed.id: anyCode}
	for code := range 5 {
		c := create(t, shell(fmt.Sprintf("exit %d", code)))
		standIn(t, c.id)
		c.start()
		if _, err := shared.Wait(t.Context(), c.id); err != nil {
			t.Fatal(err)
		}
		if err := shared.Remove(t.Context(), c.id); err != nil {
			t.Fatal(err)
		}
		want[c.id] = code
	}
	last := create(t, shell("true"))
	if err := shared.Remove(t.Context(), last.id); err != nil {
		t.Fatal(err)
	}
	var ended []string
	for deadline, gone := time.After(30*time.Second), false; len(ended) < len(want) || !gone; {
		select {
		case e := <-events:
			gone = gone || e.Type == EventDestroy && e.ID == last.id
			if code, ok := want[e.ID]; ok && e.Type == EventDie {
				if slices.Contains(ended, e.ID) || e.ExitCode != code && code != anyCode {
					t.Errorf("%+v, of those that ended %v; want exit code %d", e, ended, code)
				}
				ended = append(ended, e.ID)
			}
		case err := <-errs:
			t.Fatal(err)
		case <-deadline:
			t.Fatalf("of %v ended %v", want, ended)
		}
	}
}
