package agent

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/compose-first/compose/internal/healthlog"
	"github.com/compose-first/compose/project"
)

func TestManyCommandsStartOnePair(t *testing.T) {
	if err := Find(root).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if _, err := Ensure(t.Context(), root, os.Args[0], "1"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if pidOf("logger") == 0 || pidOf("agent") == 0 {
		t.Errorf("logger %d, agent %d", pidOf("logger"), pidOf("agent"))
	}
	info, err := os.Stat(root.AgentSocket())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}
}

func TestOtherVersionIsReplaced(t *testing.T) {
	ensure(t)
	c := begin(t, "steady", counting)
	logger, agent, pid := pidOf("logger"), pidOf("agent"), c.inspect().PID
	t.Setenv(versionVariable, "2")
	now, err := Ensure(t.Context(), root, os.Args[0], "2")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := now.Status(t.Context()); s.Version != "2" || err != nil {
		t.Errorf("version %q, %v", s.Version, err)
	}
	if pidOf("logger") == logger || pidOf("agent") == agent {
		t.Error("the old ones still run")
	}
	if got := c.inspect(); got.PID != pid || got.State != "running" {
		t.Errorf("the container noticed: %s, process %d, before %d", got.State, got.PID, pid)
	}
	seen := len(c.log())
	until(t, "the container's output goes on", func() bool { return len(c.log()) > seen+1000 })
	t.Setenv(versionVariable, "1")
	ensure(t)
	checkCounting(t, c.log())
}

// checkCounting checks that lines are 1, 2, 3, … without the last, which may
// be on its way.
func checkCounting(t *testing.T, text string) {
	t.Helper()
	lines := strings.Split(text, "\n")
	for i, l := range lines[:len(lines)-1] {
		if l != strconv.Itoa(i+1) {
			t.Fatalf("line %d is %q", i+1, l)
		}
	}
	t.Logf("%d lines", len(lines)-1)
}

func TestNames(t *testing.T) {
	a := ensure(t)
	web := begin(t, "web", "exec sleep 1000")
	db := begin(t, "db", "exec sleep 1000", func(r *project.Record) { r.Networks[0].Aliases = []string{"store"} })
	if err := a.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := db.inspect().Record.Networks[0].Address.Addr().String()
	for _, name := range []string{"db", "store", db.name, db.id[:12], "db." + network.Name} {
		if out, code := web.run("nslookup -type=a " + name); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d, %s", name, code, out)
		}
	}
	if err := client.Stop(t.Context(), db.id, "SIGKILL", 0); err != nil {
		t.Fatal(err)
	}
	took := until(t, "the name of a stopped container goes", func() bool {
		_, code := web.run("nslookup -type=a db")
		return code != 0
	})
	t.Logf("gone after %v", took)
	db.start()
	until(t, "the name comes back", func() bool {
		_, code := web.run("nslookup -type=a db")
		return code == 0
	})
}

func TestPublishedPort(t *testing.T) {
	a := ensure(t)
	port := freePort(t)
	c := begin(t, "front", "mkdir /tmp/w; echo hello > /tmp/w/index.html; exec httpd -f -p 80 -h /tmp/w", func(r *project.Record) {
		r.Ports = []project.Port{{Published: port, Target: 80, Protocol: "tcp"}}
	})
	if err := a.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	answers := func() bool { return get(port) == "hello" }
	until(t, "the port answers", answers)
	if err := client.MarkStopped(t.Context(), c.id, true); err != nil {
		t.Fatal(err)
	}
	until(t, "a replica on its way out gets nothing new", func() bool { return !answers() })
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// get is the body of the page that a port gives, "" when it gives none.
func get(port uint16) string {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return ""
	}
	b := make([]byte, 4096)
	total := 0
	for total < len(b) {
		n, err := conn.Read(b[total:])
		total += n
		if err != nil {
			break
		}
	}
	_, body, _ := strings.Cut(string(b[:total]), "\r\n\r\n")
	return strings.TrimSpace(body)
}

func TestHealthComesSoonAndGoes(t *testing.T) {
	ensure(t)
	c := begin(t, "sick", "touch /tmp/well; exec sleep 1000", func(r *project.Record) {
		r.Health = &project.Health{Test: []string{"CMD-SHELL", "echo looking; test -e /tmp/well"}, Interval: time.Second, Timeout: 5 * time.Second, Retries: 2}
	})
	took := until(t, "healthy", func() bool { return c.inspect().Health == "healthy" })
	t.Logf("healthy after %v", took)
	c.run("rm /tmp/well")
	until(t, "unhealthy", func() bool { return c.inspect().Health == "unhealthy" })
	l, err := healthlog.Read(root.HealthLog(c.id))
	if err != nil || l.Status != "unhealthy" || l.FailingStreak < 2 || len(l.Log) == 0 || l.Log[len(l.Log)-1].Output != "looking\n" || l.Log[len(l.Log)-1].ExitCode != 1 {
		t.Errorf("health log %+v, %v", l, err)
	}
	c.run("touch /tmp/well")
	until(t, "healthy again", func() bool { return c.inspect().Health == "healthy" })
}

func TestEndlessProbeIsKilled(t *testing.T) {
	ensure(t)
	c := begin(t, "slow", "exec sleep 1000", func(r *project.Record) {
		r.Health = &project.Health{Test: []string{"CMD", "sleep", "777"}, Interval: 200 * time.Millisecond, Timeout: 300 * time.Millisecond, Retries: 1}
	})
	until(t, "unhealthy", func() bool { return c.inspect().Health == "unhealthy" })
	var probe string // the one that runs now: others will follow
	until(t, "a probe", func() bool {
		probe = probeOf(c.inspect().PID, "777", "")
		return probe != ""
	})
	until(t, "the probe's process is gone", func() bool { return probeOf(c.inspect().PID, "777", probe) == "" })
}

// probeOf finds a process with a word in its command line in the pid namespace
// of pid; the one of that number, if a number is given. "" is none.
func probeOf(pid uint32, word, number string) string {
	want, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if number != "" && e.Name() != number {
			continue
		}
		if ns, err := os.Readlink("/proc/" + e.Name() + "/ns/pid"); err != nil || ns != want {
			continue
		}
		if line, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline"); bytes.Contains(line, []byte(word)) {
			return e.Name()
		}
	}
	return ""
}

func TestRestartOnFailure(t *testing.T) {
	ensure(t)
	c := begin(t, "crash", "echo run; exit 3", func(r *project.Record) { r.Restart = project.Restart{Name: "on-failure", Max: 2} })
	until(t, "it gave up", func() bool {
		now := c.inspect()
		return now.State == "exited" && now.RestartCount == 2 && now.ExitCode == 3 && !now.FinishedAt.IsZero()
	})
	until(t, "all runs are in the log", func() bool { return c.log() == "run\nrun\nrun\n" })
}

func TestRestartAlwaysButForAStop(t *testing.T) {
	ensure(t)
	c := begin(t, "phoenix", "exec sleep 1000", func(r *project.Record) { r.Restart = project.Restart{Name: "always"} })
	before := c.inspect()
	if err := client.Kill(t.Context(), c.id, "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	took := until(t, "it runs again", func() bool {
		now := c.inspect()
		return now.State == "running" && now.PID != before.PID && now.RestartCount == 1
	})
	t.Logf("again after %v", took)
	if err := client.MarkStopped(t.Context(), c.id, true); err != nil {
		t.Fatal(err)
	}
	if err := client.Stop(t.Context(), c.id, "SIGKILL", 0); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(500 * time.Millisecond); time.Now().Before(deadline); {
		if now := c.inspect(); now.State != "exited" || now.ExitCode != 137 {
			t.Fatalf("it is %s, exit %d", now.State, now.ExitCode)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestShortLivedContainerIsSettled(t *testing.T) {
	ensure(t)
	c := begin(t, "brief", "echo done; exit 4")
	until(t, "its end is written down", func() bool {
		now := c.inspect()
		return now.State == "exited" && now.ExitCode == 4 && now.Labels[project.LabelFinishedAt] != ""
	})
	until(t, "its output is in the log", func() bool { return c.log() == "done\n" })
}
