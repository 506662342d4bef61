package agent

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/project"
)

var birth = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// TestHealth plays probes: "0.1 -" is one that ended 0.1 s after the start and
// failed, "5 +" one that succeeded. What is wanted is the status after each.
func TestHealth(t *testing.T) {
	check := project.Health{Interval: 5 * time.Second, Retries: 2}
	period := check
	period.StartPeriod = 20 * time.Second
	for _, tt := range []struct {
		name   string
		check  project.Health
		probes string
		want   string
	}{
		{"the first success is at once", check, "0.1 +", "healthy"},
		{"early failures count for nothing", check, "0 -|0.1 -|0.3 -|4.9 -", "starting starting starting starting"},
		{"failures count once an interval", check, "5 -|5.1 -|9.9 -|10 -", "starting starting starting unhealthy"},
		{"a success in between begins anew", check, "5 -|6 +|11 -|16 -", "starting healthy healthy unhealthy"},
		{"healthy again after one success", check, "5 -|10 -|15 +", "starting unhealthy healthy"},
		{"failures in the start period do not count", period, "5 -|10 -|19 -|20 -|25 -", "starting starting starting starting unhealthy"},
		{"a success ends the start period", period, "1 +|6 -|11 -", "healthy healthy unhealthy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVitals("", birth, tt.check)
			var got []string
			for _, p := range strings.Split(tt.probes, "|") {
				var at float64
				var ok string
				if _, err := fmt.Sscan(p, &at, &ok); err != nil {
					t.Fatal(err)
				}
				v = v.after(tt.check, ok == "+", birth.Add(time.Duration(at*float64(time.Second))))
				got = append(got, v.Status)
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

func TestProbePauses(t *testing.T) {
	check := project.Health{Interval: time.Second, Retries: 3, StartPeriod: 10 * time.Second, StartInterval: 300 * time.Millisecond}
	for _, tt := range []struct {
		name  string
		v     vitals
		since time.Duration // of the run's start
		want  string        // the next pauses
	}{
		{"in the start period", newVitals("starting", birth, check), time.Second, "50ms 100ms 200ms 300ms 300ms"},
		{"after it", newVitals("starting", birth, check), time.Minute, "50ms 100ms 200ms 400ms 800ms 1s 1s"},
		{"after a success", newVitals("healthy", birth, check), time.Second, "1s 1s"},
		{"unhealthy", newVitals("unhealthy", birth, check), time.Second, "1s 1s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for range strings.Fields(tt.want) {
				tt.v = tt.v.wait(check, birth.Add(tt.since))
				got = append(got, tt.v.Pause.String())
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

func TestNewAgentKeepsHealth(t *testing.T) {
	check := project.Health{Interval: 5 * time.Second, Retries: 2}
	v := newVitals(statusUnhealthy, birth, check)
	if v = v.after(check, false, birth.Add(time.Second)); v.Status != statusUnhealthy {
		t.Errorf("a failure made it %s", v.Status)
	}
	v = newVitals(statusHealthy, birth, check)
	if v = v.after(check, false, birth.Add(time.Second)); v.Status != statusHealthy {
		t.Errorf("one failure made it %s", v.Status)
	}
}

func TestWantsRestart(t *testing.T) {
	for _, tt := range []struct {
		name     string
		policy   project.Restart
		stopped  bool
		exit     int
		restarts int
		want     bool
	}{
		{"no", project.Restart{Name: "no"}, false, 1, 0, false},
		{"no policy at all", project.Restart{}, false, 1, 0, false},
		{"always", project.Restart{Name: "always"}, false, 0, 99, true},
		{"always, stopped by hand", project.Restart{Name: "always"}, true, 0, 0, false},
		{"unless-stopped", project.Restart{Name: "unless-stopped"}, false, 0, 0, true},
		{"unless-stopped, stopped", project.Restart{Name: "unless-stopped"}, true, 1, 0, false},
		{"on-failure that failed", project.Restart{Name: "on-failure"}, false, 1, 99, true},
		{"on-failure that ended well", project.Restart{Name: "on-failure"}, false, 0, 0, false},
		{"on-failure:2 after one restart", project.Restart{Name: "on-failure", Max: 2}, false, 1, 1, true},
		{"on-failure:2 after two", project.Restart{Name: "on-failure", Max: 2}, false, 1, 2, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := engine.Container{Record: project.Record{Restart: tt.policy}, Stopped: tt.stopped, ExitCode: tt.exit}
			if got := wantsRestart(c, tt.restarts); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestNextPause(t *testing.T) {
	for _, tt := range []struct {
		name      string
		last, ran time.Duration
		want      time.Duration
	}{
		{"the first", 0, time.Second, 100 * time.Millisecond},
		{"doubles", 400 * time.Millisecond, time.Second, 800 * time.Millisecond},
		{"up to a minute", 50 * time.Second, time.Second, time.Minute},
		{"and begins anew after ten seconds of running", 50 * time.Second, 10 * time.Second, 100 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := nextPause(tt.last, tt.ran); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestWantsBoot(t *testing.T) {
	ran := engine.Container{State: engine.StateExited, StartedAt: birth}
	for _, tt := range []struct {
		name   string
		policy string
		change func(*engine.Container)
		want   bool
	}{
		{"always", "always", nil, true},
		{"always, stopped by hand", "always", func(c *engine.Container) { c.Stopped = true; c.FinishedAt = birth }, false},
		{"never started", "always", func(c *engine.Container) { c.StartedAt = time.Time{}; c.State = engine.StateCreated }, false},
		{"it runs", "always", func(c *engine.Container) { c.State = engine.StateRunning }, false},
		{"unless-stopped", "unless-stopped", nil, true},
		{"unless-stopped, stopped", "unless-stopped", func(c *engine.Container) { c.Stopped = true }, false},
		{"on-failure that was running", "on-failure", nil, true},
		{"on-failure, stopped", "on-failure", func(c *engine.Container) { c.Stopped = true }, false},
		{"on-failure that had ended", "on-failure", func(c *engine.Container) { c.FinishedAt = birth; c.ExitCode = 1 }, false},
		{"no", "no", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := ran
			c.Record.Restart.Name = tt.policy
			if tt.change != nil {
				tt.change(&c)
			}
			if got := wantsBoot(c); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// replica is a container of shop's service web that runs on one network.
func replica(name, address string, change ...func(*engine.Container)) engine.Container {
	c := engine.Container{ID: strings.Repeat(name[len(name)-1:], 64), Name: name, State: engine.StateRunning, StartedAt: birth}
	c.Record = project.Record{
		Project: "shop", Service: "web", Hostname: name,
		Networks: []project.Attachment{{Network: "shop_default", Interface: "eth0", Address: netip.MustParsePrefix(address), Gateway: true}},
		Ports:    []project.Port{{Published: 8080, Target: 80, Protocol: "tcp"}},
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func TestPublished(t *testing.T) {
	state := func(s engine.State) func(*engine.Container) { return func(c *engine.Container) { c.State = s } }
	health := func(s string) func(*engine.Container) {
		return func(c *engine.Container) { c.Record.Health = &project.Health{}; c.Health = s }
	}
	for _, tt := range []struct {
		name       string
		containers []engine.Container
		want       string
	}{
		{"replicas share a port", []engine.Container{replica("web-1", "10.0.0.3/24"), replica("web-2", "10.0.0.2/24")},
			"shop/web 8080/tcp 10.0.0.2:80 10.0.0.3:80"},
		{"only healthy ones serve", []engine.Container{replica("web-1", "10.0.0.2/24", health("starting")), replica("web-2", "10.0.0.3/24", health("healthy")), replica("web-3", "10.0.0.4/24", health("unhealthy"))},
			"shop/web 8080/tcp 10.0.0.3:80"},
		{"none serves: connections are refused", []engine.Container{replica("web-1", "10.0.0.2/24", health("starting"))},
			"shop/web 8080/tcp"},
		{"one about to be stopped gets no more", []engine.Container{replica("web-1", "10.0.0.2/24", func(c *engine.Container) { c.Stopped = true })},
			"shop/web 8080/tcp"},
		{"paused", []engine.Container{replica("web-1", "10.0.0.2/24", state(engine.StatePaused))}, "shop/web 8080/tcp"},
		{"restarting: the port stays ours", []engine.Container{replica("web-1", "10.0.0.2/24", state(engine.StateRestarting))}, "shop/web 8080/tcp"},
		{"exited: the port is free", []engine.Container{replica("web-1", "10.0.0.2/24", state(engine.StateExited))}, ""},
		{"a one-off has ports of its own", []engine.Container{replica("web-run-1", "10.0.0.2/24", func(c *engine.Container) { c.Record.OneOff = true })},
			"shop/web-run-1 8080/tcp 10.0.0.2:80"},
		{"on the host's network", []engine.Container{replica("web-1", "10.0.0.2/24", func(c *engine.Container) { c.Record.NetworkMode = "host" })}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, p := range published(tt.containers) {
				s := fmt.Sprintf("%s %d/%s", p.Service, p.Port.Published, p.Port.Protocol)
				for _, b := range p.Backends {
					s += " " + b.String()
				}
				got = append(got, s)
			}
			if s := strings.Join(got, "|"); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

func TestEndpoints(t *testing.T) {
	all := endpoints([]engine.Container{
		replica("web-1", "10.0.0.2/24"),
		replica("web-2", "10.0.0.3/24", func(c *engine.Container) { c.State = engine.StateExited }),
	}, map[string]string{"shop_default": "default"})
	if len(all) != 1 || all[0].Addr.String() != "10.0.0.2" || all[0].Key != "default" || all[0].Service != "web" || all[0].Name != "web-1" {
		t.Errorf("got %+v", all)
	}
}

func TestNameservers(t *testing.T) {
	got := nameservers("# nameserver 1.1.1.1\nnameserver 10.0.0.1\noptions ndots:1\nnameserver  fe80::1%eth0 \nnameserver 10.0.0.1\nnameserver\n")
	if fmt.Sprint(got) != "[10.0.0.1 fe80::1%eth0]" {
		t.Errorf("got %v", got)
	}
}

func TestProbeArgs(t *testing.T) {
	for _, tt := range []struct{ test, want []string }{
		{[]string{"CMD", "pg_isready", "-q"}, []string{"pg_isready", "-q"}},
		{[]string{"CMD-SHELL", "a || b"}, []string{"/bin/sh", "-c", "a || b"}},
		{[]string{"NONE"}, nil},
		{[]string{"CMD"}, nil},
		{nil, nil},
	} {
		if got := probeArgs(tt.test); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%q: got %q", tt.test, got)
		}
	}
}
