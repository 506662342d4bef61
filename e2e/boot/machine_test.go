package boot

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-first/compose/internal/enginetest"
)

// patience is how long something may take that does not happen at once: a
// boot, or the time of the watchdog.
const patience = time.Minute

// machine is one that systemd runs, in a container.
type machine struct {
	*testing.T
	outside string // a folder here that is /srv/outside in there
}

// newMachine boots a machine for the first time. At the end of the test it is
// gone with all that it had.
func newMachine(t *testing.T) *machine {
	t.Helper()
	images, err := enginetest.Images()
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{T: t, outside: t.TempDir()}
	t.Setenv("BINARY", engine.Binary)
	t.Setenv("LIBEXEC", engine.Libexec)
	t.Setenv("IMAGES", images)
	t.Setenv("OUTSIDE", m.outside)
	m.plugIn()
	t.Cleanup(m.scrap)
	m.host("up", "-d")
	m.booted()
	return m
}

// scrap takes the machine away, and shows what it said when the test failed.
func (m *machine) scrap() {
	if m.Failed() {
		m.Logf("failed units:\n%s", m.run("systemctl", "--failed", "--no-pager").Stdout)
		m.Logf("the console:\n%s", m.compose("logs", "--no-log-prefix", "--tail", "100").Stdout)
		m.Logf("the journal:\n%s", m.run("journalctl", "--no-pager", "-b", "-u", "compose.service").Stdout)
		m.Logf("the shop:\n%s", m.run("compose", "-p", "shop", "ps", "-a").Stdout)
	}
	if r := m.compose("down", "-v", "-t", "0"); r.Code != 0 {
		m.Errorf("down: exit %d\n%s", r.Code, r.Stderr)
	}
}

// compose runs a command on the host, about the machine.
func (m *machine) compose(args ...string) enginetest.Result {
	return engine.Run(context.Background(), "testdata", nil, append([]string{"-f", "machine.yaml"}, args...)...)
}

// host runs a command on the host that has to succeed.
func (m *machine) host(args ...string) string {
	m.Helper()
	r := m.compose(args...)
	if r.Code != 0 {
		m.Fatalf("compose %s: exit %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// run runs a command in the machine.
func (m *machine) run(args ...string) enginetest.Result {
	return m.compose(append([]string{"exec", "-T", "machine"}, args...)...)
}

// must runs a command in the machine that has to succeed.
func (m *machine) must(args ...string) string {
	m.Helper()
	return m.host(append([]string{"exec", "-T", "machine"}, args...)...)
}

// booted waits until systemd has done all that belongs to a start.
func (m *machine) booted() {
	m.Helper()
	m.until("the machine is up", func() bool {
		return strings.TrimSpace(m.run("systemctl", "is-system-running").Stdout) == "running"
	})
}

// unit is a property of the engine's unit, as systemd has it.
func (m *machine) unit(property string) string {
	m.Helper()
	return m.must("systemctl", "show", "--value", "-p", property, "compose.service")
}

// plugIn has the machine's network come up, now and at a boot.
func (m *machine) plugIn() {
	m.Helper()
	if err := os.WriteFile(filepath.Join(m.outside, "cable"), nil, 0o644); err != nil {
		m.Fatal(err)
	}
}

// unplug has the machine's network not come up at the next boot.
func (m *machine) unplug() {
	m.Helper()
	if err := os.Remove(filepath.Join(m.outside, "cable")); err != nil {
		m.Fatal(err)
	}
}

// events are what the shop's services have written down, in order. They are
// read here: no command in the machine wakes an engine that did not wake by itself.
func (m *machine) events() []string {
	b, _ := os.ReadFile(filepath.Join(m.outside, "events")) // nobody may have come up
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
}

// happens waits until these events, in this order, have come after the ones
// before, and nothing else has.
func (m *machine) happens(before []string, now ...string) {
	m.Helper()
	want := slices.Concat(before, now)
	m.until(fmt.Sprintf("%q, after %q", now, before), func() bool {
		got := m.events()
		if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
			m.Fatalf("there was %q, want %q", got, want)
		}
		return len(got) == len(want)
	})
}

// firstProcesses are those of the containers in the machine, each by its
// number on the host and its control groups.
func (m *machine) firstProcesses() []string {
	m.Helper()
	var first []string
	for _, pid := range engine.Contained(m.host("ps", "-q") + "/compose/") {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // one that has gone is no first process
		groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if isFirst(string(status)) {
			first = append(first, fmt.Sprintf("process %d in\n%s", pid, groups))
		}
	}
	slices.Sort(first)
	return first
}

// isFirst reports whether a process is number 1 in its own namespace.
// Source: proc(5), status: NSpid ends with the number in the innermost one.
func isFirst(status string) bool {
	for line := range strings.Lines(status) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			return strings.HasSuffix(strings.TrimSpace(numbers), "\t1")
		}
	}
	return false
}

// answers asks the shop through its published port, as another machine does.
func (m *machine) answers() error {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + m.host("port", "machine", "8080"))
	if err != nil {
		return err
	}
	return r.Body.Close()
}

// until waits for a condition.
func (m *machine) until(what string, holds func() bool) {
	m.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			m.Fatalf("waited %v until %s", patience, what)
		}
		time.Sleep(200 * time.Millisecond) // until the next look; the deadline decides
	}
}
