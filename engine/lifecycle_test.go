package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-first/compose/project"
)

func TestLifeOfAContainer(t *testing.T) {
	c := create(t, shell("echo hello; exit 3"))
	if got := inspect(t, c.id); got.State != StateCreated || !got.StartedAt.IsZero() || got.Record.Service != "one" {
		t.Errorf("after create: %+v", got)
	}
	l := standIn(t, c.id)
	c.start()
	code, err := shared.Wait(t.Context(), c.id)
	if err != nil || code != 3 {
		t.Errorf("wait: %d, %v", code, err)
	}
	if got := l.text(); got != "hello\n" {
		t.Errorf("output %q", got)
	}
	if got := inspect(t, c.id); got.State != StateExited || got.ExitCode != 3 || got.FinishedAt.Before(got.StartedAt) || got.StartedAt.IsZero() {
		t.Errorf("before it is settled: %+v", got)
	}
	got, err := shared.Settle(t.Context(), c.id)
	if err != nil || got.State != StateExited || got.ExitCode != 3 {
		t.Errorf("settled: %+v, %v", got, err)
	}
	if again, err := shared.Settle(t.Context(), c.id); err != nil || again.ExitCode != 3 || !again.FinishedAt.Equal(got.FinishedAt) {
		t.Errorf("settled twice: %+v, %v", again, err)
	}
	if code, err := shared.Wait(t.Context(), c.id); err != nil || code != 3 {
		t.Errorf("wait after the end: %d, %v", code, err)
	}

	l = standIn(t, c.id)
	c.start()
	if got := l.text(); got != "hello\n" {
		t.Errorf("output of the second run %q", got)
	}
	if err := shared.Remove(t.Context(), c.id); err != nil {
		t.Error(err)
	}
	if err := shared.Remove(t.Context(), c.id); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	for _, path := range []string{shared.cfg.Root.Container(c.id), shared.cfg.Root.Streams(c.id)} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s is left", path)
		}
	}
}

func TestStopTakesTheSignalThenKills(t *testing.T) {
	for _, tt := range []struct {
		name, script, signal string
		grace                time.Duration
		code                 int
	}{
		{"the default signal is heeded", `trap 'exit 7' TERM; echo up; while :; do sleep 0.02; done`, "", 9 * time.Second, 7},
		{"another signal is heeded", `trap 'exit 8' USR1; echo up; while :; do sleep 0.02; done`, "SIGUSR1", 9 * time.Second, 8},
		{"a deaf one is killed", `trap '' TERM; echo up; while :; do sleep 0.02; done`, "", 50 * time.Millisecond, 137},
		{"without grace it is killed at once", `echo up; sleep 100`, "", 0, 137},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := create(t, shell(tt.script))
			l := standIn(t, c.id)
			c.start()
			eventually(t, "it is up", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.out.Len() > 0 })
			if err := shared.Stop(t.Context(), c.id, tt.signal, tt.grace); err != nil {
				t.Fatal(err)
			}
			if got := inspect(t, c.id); got.State != StateExited || got.ExitCode != tt.code || got.PID != 0 {
				t.Errorf("state %s, code %d, want %d", got.State, got.ExitCode, tt.code)
			}
		})
	}
}

func TestStopOfOneThatDoesNotRun(t *testing.T) {
	c := create(t, shell("true"))
	if err := shared.Stop(t.Context(), c.id, "", time.Second); err != nil {
		t.Errorf("created: %v", err)
	}
	if err := shared.Stop(t.Context(), NewID(), "", time.Second); !errors.Is(err, ErrNotFound) {
		t.Errorf("absent: %v", err)
	}
	if err := shared.Kill(t.Context(), c.id, "SIGTERM"); !errors.Is(err, ErrConflict) {
		t.Errorf("kill of one that does not run: %v", err)
	}
	if err := shared.Kill(t.Context(), NewID(), ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("kill of one that is not there: %v", err)
	}
}

func TestPausedOnesStopToo(t *testing.T) {
	c := create(t, shell("sleep 100"))
	standIn(t, c.id)
	c.start()
	if err := shared.Pause(t.Context(), c.id); err != nil {
		t.Fatal(err)
	}
	if got := inspect(t, c.id).State; got != StatePaused {
		t.Errorf("state %s", got)
	}
	if err := shared.Stop(t.Context(), c.id, "SIGKILL", 0); err != nil {
		t.Fatal(err)
	}
	c.start()
	standIn(t, c.id)
	if err := shared.Pause(t.Context(), c.id); err != nil {
		t.Fatal(err)
	}
	if err := shared.Remove(t.Context(), c.id); err != nil {
		t.Error(err)
	}
}

func TestStartTwiceAndStateByHand(t *testing.T) {
	c := create(t, shell("sleep 100"))
	standIn(t, c.id)
	if err := shared.MarkStopped(t.Context(), c.id, true); err != nil {
		t.Fatal(err)
	}
	if err := shared.Restart(t.Context(), c.id, 1); !errors.Is(err, ErrConflict) {
		t.Errorf("the policy restarted what was stopped by hand: %v", err)
	}
	c.start()
	first := inspect(t, c.id)
	if first.State != StateRunning || first.Stopped || first.PID == 0 {
		t.Errorf("%+v", first)
	}
	c.start()
	if again := inspect(t, c.id); again.PID != first.PID {
		t.Error("a second start made another process")
	}
	if err := shared.Kill(t.Context(), c.id, "KILL"); err != nil {
		t.Fatal(err)
	}
	if code, err := shared.Wait(t.Context(), c.id); code != 137 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
	if err := shared.Restart(t.Context(), c.id, 4); err != nil { // not settled: what is left goes first
		t.Fatal(err)
	}
	if got := inspect(t, c.id); got.State != StateRunning || got.RestartCount != 4 || got.ExitCode != 0 {
		t.Errorf("%+v", got)
	}
}

func TestStartErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want error
		text string
	}{
		{"no such command", []string{"nope"}, ErrCommandNotFound, `"nope": command not found`},
		{"no such file", []string{"/bin/nope"}, ErrCommandNotFound, `"/bin/nope": command not found`},
		{"not executable", []string{"/etc/plain"}, ErrNotExecutable, `"/etc/plain": command cannot be executed`},
		{"a folder", []string{"/etc"}, ErrNotExecutable, `"/etc": command cannot be executed`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := create(t, tt.args)
			standIn(t, c.id)
			err := shared.Start(t.Context(), c.id)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "runc") {
				t.Errorf("got %v", err)
			}
			if got := inspect(t, c.id); got.State != StateCreated {
				t.Errorf("state %s", got.State)
			}
		})
	}
}

func TestObserve(t *testing.T) {
	var ids []string
	for _, name := range []string{"b", "a"} {
		c := create(t, shell("sleep 100"), func(cfg *CreateConfig) {
			cfg.Name = name
			cfg.Labels[project.LabelProject] = "observed"
			cfg.Labels[project.LabelConfigHash] = "hash-" + name
		})
		ids = append(ids, c.id)
	}
	standIn(t, ids[0])
	if err := shared.Start(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	got, err := shared.Observe(t.Context(), "observed")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != "a" || got[0].State != StateCreated || got[1].State != StateRunning || got[1].ConfigHash != "hash-b" {
		t.Errorf("%+v", got)
	}
	if got[1].RecordError != nil || got[1].Record.NetworkMode != "none" {
		t.Errorf("record: %+v, %v", got[1].Record, got[1].RecordError)
	}
}

func TestLabelsMerge(t *testing.T) {
	c := create(t, shell("true"))
	if err := shared.SetLabels(t.Context(), c.id, map[string]string{project.LabelHealth: "healthy", "a.b/c": "d"}); err != nil {
		t.Fatal(err)
	}
	if err := shared.SetLabels(t.Context(), c.id, map[string]string{"a.b/c": ""}); err != nil {
		t.Fatal(err)
	}
	got := inspect(t, c.id)
	if _, there := got.Labels["a.b/c"]; there || got.Health != "healthy" || got.Name == "" {
		t.Errorf("%v", got.Labels)
	}
	if err := shared.SetLabels(t.Context(), NewID(), map[string]string{"a": "b"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestEvents(t *testing.T) {
	events, errs := shared.Events(t.Context(), "test")
	c := create(t, shell("exit 5"))
	standIn(t, c.id)
	c.start()
	if _, err := shared.Wait(t.Context(), c.id); err != nil {
		t.Fatal(err)
	}
	if err := shared.Remove(t.Context(), c.id); err != nil {
		t.Fatal(err)
	}
	seen := map[EventType]Event{}
	for seen[EventDestroy].ID == "" || seen[EventDie].ID == "" { // a shim tells of the end in its own time
		select {
		case e := <-events:
			if e.ID == c.id {
				seen[e.Type] = e
			}
		case err := <-errs:
			t.Fatal(err)
		case <-time.After(10 * time.Second):
			t.Fatalf("no destroy; seen %v", seen)
		}
	}
	for _, want := range []EventType{EventCreate, EventStart, EventUpdate, EventDie, EventDestroy} {
		if e := seen[want]; e.ID != c.id || e.Labels[project.LabelService] != "one" {
			t.Errorf("%s: %+v", want, e)
		}
	}
	if seen[EventDie].ExitCode != 5 || seen[EventStart].PID == 0 {
		t.Errorf("die %+v, start %+v", seen[EventDie], seen[EventStart])
	}
}

func TestReclaim(t *testing.T) {
	folders := func() int {
		entries, err := os.ReadDir(filepath.Join(shared.cfg.Root.ContainerdRoot(), "io.containerd.snapshotter.v1.overlayfs", "snapshots"))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	if err := shared.Reclaim(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := folders()
	c := create(t, shell("true"))
	if err := shared.Remove(t.Context(), c.id); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d folders before, %d after the removal", before, folders())
	if err := shared.Reclaim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := folders(); after != before {
		t.Errorf("%d folders of snapshots before, %d after", before, after)
	}
}

func TestObserveOutlastsARestartOfContainerd(t *testing.T) {
	c := create(t, shell("sleep 100"))
	standIn(t, c.id)
	c.start()
	containerd := daemon.Status(t.Context())[0]
	if err := syscall.Kill(containerd.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "containerd is gone", func() bool { return !daemon.Status(t.Context())[0].Running })
	restarted := make(chan error, 1)
	go func() {
		_, err := daemon.EnsureContainerd(t.Context())
		restarted <- err
	}()
	got, err := shared.Observe(t.Context(), "test")
	if err != nil || len(got) != 1 || got[0].State != StateRunning {
		t.Errorf("%d containers, %v", len(got), err)
	}
	if err := <-restarted; err != nil {
		t.Fatal(err)
	}
	if got := inspect(t, c.id); got.State != StateRunning {
		t.Errorf("state %s", got.State)
	}
}
