package boot

import (
	"slices"
	"strings"
	"testing"
)

// The engine as a service of systemd, from its installation to its removal.
func TestBoot(t *testing.T) {
	m := newMachine(t)
	m.openShop()
	m.install()
	m.stopUnit()
	m.restartUnit()
	m.hang()
	m.cutPower()
	m.reboot()
	m.uninstall()
	m.stopEngine()
}

// install has the engine be a service, which takes over what runs and is watched.
func (m *machine) install() {
	m.unnoticed(func() { m.must("compose", "engine", "install") })
	m.active()
	if got := m.must("systemctl", "is-enabled", "compose.service"); got != "enabled" {
		m.Errorf("the unit is %s", got)
	}
	if got := m.unit("Type"); got != "notify" {
		m.Errorf("the type of the unit is %s", got)
	}
}

// active fails the test unless the engine serves, and goes on to say so.
func (m *machine) active() {
	m.Helper()
	if got := m.must("systemctl", "is-active", "compose.service"); got != "active" {
		m.Errorf("the unit is %s", got)
	}
	heard := m.unit("WatchdogTimestampMonotonic")
	m.until("the watchdog hears of the engine", func() bool { return m.unit("WatchdogTimestampMonotonic") != heard })
}

// openShop has three services run, one of which is then stopped by hand.
func (m *machine) openShop() {
	m.must("compose", "image", "load", "-i", "/srv/images/busybox.tar")
	m.must("compose", "-f", "/srv/shop/compose.yaml", "up", "-d", "--wait")
	m.happens(nil, "db up", "web up", "byhand up")
	m.must("compose", "-p", "shop", "stop", "byhand")
	m.happens([]string{"db up", "web up", "byhand up"}, "byhand down")
	m.open()
}

// open fails the test unless the shop is as it should be.
func (m *machine) open() {
	m.Helper()
	m.until("the shop answers", func() bool { return m.answers() == nil })
	if got, want := m.must("compose", "-p", "shop", "ps", "-a", "--format", "{{.Service}} {{.State}}"), "byhand exited\ndb running\nweb running"; got != want {
		m.Errorf("there is\n%s\nwant\n%s", got, want)
	}
	m.must("compose", "-p", "shop", "exec", "-T", "web", "nslookup", "-type=a", "db")
}

// unnoticed does something that no container is to notice.
func (m *machine) unnoticed(do func()) {
	m.Helper()
	events, processes := m.events(), m.firstProcesses()
	if len(processes) != 2 {
		m.Fatalf("first processes of containers: %q, want those of db and web", processes)
	}
	do()
	m.open()
	m.happens(events)
	if now := m.firstProcesses(); !slices.Equal(now, processes) {
		m.Errorf("first processes of containers were %s\nand are %s", processes, now)
	}
}

// stopUnit stops what watches over the engine, and starts it.
func (m *machine) stopUnit() {
	m.unnoticed(func() { m.must("systemctl", "stop", "compose.service") })
	if r := m.run("systemctl", "is-active", "compose.service"); r.Stdout != "inactive\n" {
		m.Errorf("the unit is %s", r.Stdout)
	}
	m.unnoticed(func() {
		m.must("systemctl", "start", "compose.service")
		m.active()
	})
}

func (m *machine) restartUnit() {
	m.unnoticed(func() {
		m.must("systemctl", "restart", "compose.service")
		m.active()
	})
}

// hang stops the process that the watchdog hears from: systemd starts another.
func (m *machine) hang() {
	m.unnoticed(func() {
		hung, restarts := m.unit("MainPID"), m.unit("NRestarts")
		m.must("systemctl", "kill", "--kill-who=main", "--signal=STOP", "compose.service")
		m.until("the watchdog acts", func() bool { return m.unit("NRestarts") != restarts })
		m.until("the unit has started", func() bool { return m.unit("ActiveState") == "active" })
		if m.unit("MainPID") == hung {
			m.Errorf("process %s is still the unit's", hung)
		}
		m.active()
	})
}

// cutPower ends the machine from one moment to the next, and boots it. The
// shop is back once there is a network, with nothing done by hand.
func (m *machine) cutPower() {
	before, addresses := m.events(), m.addresses()
	m.host("kill", "machine")
	m.unplug()
	m.host("start", "machine")
	m.until("systemd waits for the network", func() bool { return m.run("systemctl", "is-active", "network.service").Stdout == "activating\n" })
	if got := m.unit("ActiveState"); got != "inactive" {
		m.Errorf("before there is a network the unit is %s", got)
	}
	m.plugIn()
	m.back(before, addresses, "db up", "web up")
}

// reboot has the machine go down as it should: containers are told, those
// first that depend on others, and nobody is on the engine's disk when it is
// unmounted. It comes up by itself.
func (m *machine) reboot() {
	before, addresses := m.events(), m.addresses()
	m.run("systemctl", "--no-block", "reboot") // which may be ended with the machine
	m.back(before, addresses, "web down", "db down", "db up", "web up")
	if !strings.Contains(m.host("logs", "--no-log-prefix"), "Unmounted var-lib-compose.mount") {
		m.Errorf("/var/lib/compose was not unmounted")
	}
}

// back waits for these events, and fails the test unless all is as it was.
func (m *machine) back(before []string, addresses string, now ...string) {
	m.Helper()
	m.happens(before, now...)
	m.booted()
	m.active()
	m.open()
	if got := m.addresses(); got != addresses {
		m.Errorf("addresses were\n%s\nand are\n%s", addresses, got)
	}
}

// addresses are those of the shop's services.
func (m *machine) addresses() (all string) {
	m.Helper()
	for _, service := range []string{"db", "web"} {
		all += m.must("compose", "-p", "shop", "exec", "-T", service, "ip", "-4", "-o", "address", "show", "scope", "global") + "\n"
	}
	return all
}

// uninstall leaves no unit; the shop stays open.
func (m *machine) uninstall() {
	m.unnoticed(func() { m.must("compose", "engine", "uninstall") })
	if got := m.unit("LoadState"); got != "not-found" {
		m.Errorf("the unit is %s", got)
	}
	if got := m.must("find", "/etc/systemd", "/run/systemd", "-name", "compose.service"); got != "" {
		m.Errorf("there is %s", got)
	}
}

// stopEngine leaves nothing with systemd.
func (m *machine) stopEngine() {
	m.must("compose", "engine", "stop", "--force")
	if got := m.must("systemctl", "list-units", "--all", "--plain", "--no-legend", "compose*"); got != "" {
		m.Errorf("there is %s", got)
	}
}
