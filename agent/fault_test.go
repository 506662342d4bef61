package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/process"
	"github.com/compose-first/compose/project"
)

// counting writes numbered lines, a few thousand a second.
const counting = "i=0; while :; do for j in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do echo $((i=i+1)); done; sleep 0.01; done"

func TestKilledAgentAndLogger(t *testing.T) {
	ensure(t)
	web := begin(t, "asker", "exec sleep 1000")
	db := begin(t, "asked", "exec sleep 1000")
	writers := []container{begin(t, "w1", counting), begin(t, "w2", counting)}
	for i := range 6 {
		name := []string{"agent", "logger"}[i%2]
		kill(t, name)
		took := until(t, name+" is back and names resolve", func() bool {
			if pidOf(name) == 0 {
				return false
			}
			_, code := web.run("nslookup -type=a " + db.name)
			return code == 0
		})
		t.Logf("%s back after %v", name, took)
		for _, w := range writers {
			seen := len(w.log())
			until(t, "output goes on", func() bool { return len(w.log()) > seen })
		}
	}
	for _, w := range writers {
		if err := client.Stop(t.Context(), w.id, "SIGKILL", 0); err != nil {
			t.Fatal(err)
		}
		checkCounting(t, w.log())
	}
}

func TestOutputOfAContainerThatEndsWhileNobodyReads(t *testing.T) {
	ensure(t)
	c := begin(t, "last", "sleep 0.3; echo last words")
	logger := pidOf("logger")
	until(t, "the agent has seen it", func() bool { return c.inspect().State == "running" })
	if err := Find(root).Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(logger, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "it ends", func() bool { return c.inspect().State == "exited" })
	if err := unix.Kill(logger, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "its last words are in the log", func() bool { return c.log() == "last words\n" })
	until(t, "another logger runs", func() bool { return pidOf("logger") != 0 && pidOf("logger") != logger })
}

func TestKilledContainerd(t *testing.T) {
	ensure(t)
	c := begin(t, "firm", counting)
	h := begin(t, "checked", "exec sleep 1000", func(r *project.Record) {
		r.Health = &project.Health{Test: []string{"CMD", "test", "!", "-e", "/tmp/ill"}, Interval: 300 * time.Millisecond, Timeout: 10 * time.Second, Retries: 1}
	})
	until(t, "healthy", func() bool { return h.inspect().Health == "healthy" })
	before := c.inspect()
	asked := askAllTheTime(t, c.id)
	kill(t, "containerd")
	took := until(t, "the agent has it back", func() bool {
		_, err := client.Inspect(t.Context(), c.id)
		return pidOf("containerd") != 0 && err == nil
	})
	t.Logf("back after %v", took)
	asked()
	if now := c.inspect(); now.PID != before.PID || now.State != "running" {
		t.Errorf("the container is %s, process %d, before %d", now.State, now.PID, before.PID)
	}
	until(t, "the container is healthy, or never was anything else", func() bool { return h.inspect().Health == "healthy" })
	h.run("touch /tmp/ill")
	until(t, "its health is followed again", func() bool { return h.inspect().Health == "unhealthy" })
	checkCounting(t, c.log())
}

// A new agent answers for names before it has asked all shims: one that is slow
// holds up nobody else's.
func TestNamesDoNotWaitForShims(t *testing.T) {
	ensure(t)
	web := begin(t, "hasty", "exec sleep 1000")
	slow := begin(t, "slow-one", "exec sleep 1000")
	shim := process.Parent(int(slow.inspect().PID))
	if err := unix.Kill(shim, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	goOn := func() { _ = unix.Kill(shim, unix.SIGCONT) }
	t.Cleanup(goOn)
	stage := func() string {
		_, stage, _ := process.ReadFile(root.Pid("agent"))
		return stage
	}
	kill(t, "agent")
	took := until(t, "names resolve", func() bool {
		_, code := web.run("nslookup -type=a " + slow.name)
		return code == 0
	})
	if stage() == stageReady {
		t.Errorf("after %v the agent has asked the shim that does not answer", took)
	}
	goOn()
	until(t, "the agent has asked all", func() bool { return stage() == stageReady })
}

// askAllTheTime asks the agent for what commands want of it, until the returned
// function is called, which reports what failed.
func askAllTheTime(t *testing.T, id string) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var g errgroup.Group
	for _, ask := range []func() error{
		func() error { return Find(root).Ready(t.Context(), id) },
		func() error { return Find(root).Sync(t.Context()) },
	} {
		g.Go(func() error {
			for {
				if err := ask(); err != nil {
					return err
				}
				select {
				case <-done:
					return nil
				default:
				}
			}
		})
	}
	return func() {
		t.Helper()
		close(done)
		if err := g.Wait(); err != nil {
			t.Errorf("a command was told: %v", err)
		}
	}
}

func TestBridgeTakenAway(t *testing.T) {
	ensure(t)
	a := begin(t, "left", "exec sleep 1000")
	b := begin(t, "right", "exec sleep 1000")
	address := b.inspect().Record.Networks[0].Address.Addr()
	reach := func() bool {
		_, code := a.run(fmt.Sprintf("ping -c 1 -W 1 %s", address))
		return code == 0
	}
	until(t, "they reach each other", reach)
	link, err := netlink.LinkByName(network.Bridge)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkDel(link); err != nil {
		t.Fatal(err)
	}
	took := until(t, "they reach each other again", reach)
	t.Logf("mended after %v", took)
}

// TestBoot takes away what a power cut takes: every process, and all that is
// not on a disk.
func TestBoot(t *testing.T) {
	ensure(t)
	db := begin(t, "boot-db", "touch /tmp/up; exec sleep 1000", func(r *project.Record) {
		r.Restart = project.Restart{Name: "unless-stopped"}
		r.Health = &project.Health{Test: []string{"CMD", "test", "-e", "/tmp/up"}, Interval: time.Second, Timeout: 10 * time.Second, Retries: 3}
	})
	web := begin(t, "boot-web", "exec sleep 1000", func(r *project.Record) {
		r.Restart = project.Restart{Name: "always"}
		r.DependsOn = []project.Dependency{{Service: "boot-db", Condition: project.ConditionHealthy, Required: true}}
	})
	stopped := begin(t, "boot-stopped", "exec sleep 1000", func(r *project.Record) { r.Restart = project.Restart{Name: "unless-stopped"} })
	plain := begin(t, "boot-plain", "exec sleep 1000")
	if err := client.MarkStopped(t.Context(), stopped.id, true); err != nil {
		t.Fatal(err)
	}
	if err := client.Stop(t.Context(), stopped.id, "SIGKILL", 0); err != nil {
		t.Fatal(err)
	}
	powerCut(t)
	if _, err := daemon.EnsureContainerd(t.Context()); err != nil {
		t.Fatal(err)
	}
	ensure(t)
	up := func(c container) bool { return c.inspect().State == "running" }
	until(t, "the unless-stopped one is back and healthy", func() bool { return up(db) && db.inspect().Health == "healthy" })
	until(t, "the always one is back", func() bool { return up(web) })
	if web.inspect().StartedAt.Before(db.inspect().StartedAt) {
		t.Error("it was started before what it depends on")
	}
	until(t, "the end of the others is written down", func() bool { return plain.inspect().Labels[project.LabelFinishedAt] != "" })
	if up(stopped) || up(plain) || plain.inspect().ExitCode != 255 {
		t.Errorf("stopped: %s, plain: %s, exit %d", stopped.inspect().State, plain.inspect().State, plain.inspect().ExitCode)
	}
	if out, code := web.run("nslookup -type=a boot-db"); code != 0 {
		t.Errorf("names: %s", out)
	}
}

// powerCut ends everything of the engine at once, and removes its run folder,
// namespaces and bridge.
func powerCut(t *testing.T) {
	t.Helper()
	all, err := client.Observe(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, name := range []string{"logger", "agent", "containerd"} { // none before the one that would start it again
		pid := pidOf(name)
		if pid == 0 {
			t.Fatalf("%s does not run", name)
		}
		pids = append(pids, pid)
	}
	pids = append(pids, shims(t)...)
	pids = append(pids, containerPIDs(all)...)
	for _, pid := range pids {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	until(t, "all are gone", func() bool {
		late := mentioning(t, root.Run) // what shims were starting
		for _, pid := range late {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		return len(late) == 0 && !slices.ContainsFunc(pids, func(pid int) bool {
			_, runs := process.Of(pid)
			return runs
		})
	})
	unmountBelow(t, root.Run)
	if err := os.RemoveAll(root.Run); err != nil {
		t.Fatal(err)
	}
	if link, err := netlink.LinkByName(network.Bridge); err == nil {
		if err := netlink.LinkDel(link); err != nil {
			t.Fatal(err)
		}
	}
}

func containerPIDs(all []engine.Container) []int {
	var pids []int
	for _, c := range all {
		if c.PID != 0 {
			pids = append(pids, int(c.PID))
		}
	}
	return pids
}

// shims are those of this engine.
func shims(t *testing.T) []int {
	t.Helper()
	return mentioning(t, "containerd-shim-runc-v2", root.ContainerdSocket())
}

// mentioning returns the processes that have all of texts in their command lines.
func mentioning(t *testing.T, texts ...string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, f := range files {
		line, _ := os.ReadFile(f)
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(string(line), text) }) {
			var pid int
			if _, err := fmt.Sscanf(f, "/proc/%d/cmdline", &pid); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func unmountBelow(t *testing.T, dir string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		fields := strings.Fields(lines[i])
		if len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			if err := unix.Unmount(fields[1], unix.MNT_DETACH); err != nil {
				t.Errorf("unmount %s: %v", fields[1], err)
			}
		}
	}
}

// TestStandardInputStaysOpen holds that a container with standard input sees
// no end of it, whatever becomes of the logger.
func TestStandardInputStaysOpen(t *testing.T) {
	ensure(t)
	c := begin(t, "reader", "echo ready; cat; echo ended", func(r *project.Record) { r.Stdin = true })
	until(t, "it reads", func() bool { return c.log() == "ready\n" })
	logger := pidOf("logger")
	kill(t, "logger")
	until(t, "another logger runs", func() bool { return pidOf("logger") != 0 && pidOf("logger") != logger })
	f, err := os.OpenFile(filepath.Join(root.Streams(c.id), "stdin"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	until(t, "it has read", func() bool { return c.log() == "ready\nhello\n" })
	if now := c.inspect(); now.State != "running" {
		t.Errorf("it is %s", now.State)
	}
}
