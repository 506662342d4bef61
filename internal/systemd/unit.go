// Package systemd has the engine started at boot and watched: the unit that
// says so, its installation, and the protocol by which a service tells systemd
// that it is ready and well.
package systemd

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Folder is where units of the administrator are.
// Source: systemd.unit(5), unit file load path.
const Folder = "/etc/systemd/system"

// mark is the first line of a unit of ours. A file without it is somebody else's.
const mark = "# Written by `compose engine install`; put changes beside it with `systemctl edit`.\n"

// watchdog is how long the engine may be found not to answer before systemd
// starts it anew. Its own supervisors take seconds.
const watchdog = time.Minute

// ExitStopped is the exit code of an engine that was stopped by hand: systemd
// leaves it stopped.
const ExitStopped = 3

// Service is an engine as a service of systemd.
type Service struct {
	Binary      string   // of compose, absolute
	Tag         string   // of the engine's root, "" for the default one
	State       string   // folder that has to be mounted first
	Environment []string // "COMPOSE_ENGINE_ROOT=/srv/compose"
}

// Name is that of the unit: "compose.service".
func (s Service) Name() string {
	if s.Tag == "" {
		return "compose.service"
	}
	return "compose-" + s.Tag + ".service"
}

// Path is where the unit is written.
func (s Service) Path() string { return filepath.Join(Folder, s.Name()) }

// Unit is the text of the unit.
//
// It comes after the network and after those that write packet filters, since
// some of them begin by clearing everything. KillMode=process: what ends with
// the unit is the one process that watches; containers, their shims and the
// daemons run on, and the next start takes them over.
func (s Service) Unit() string {
	var environment strings.Builder
	for _, kv := range s.Environment {
		fmt.Fprintf(&environment, "Environment=%s\n", quote(kv))
	}
	return mark + fmt.Sprintf(`[Unit]
Description=Compose engine: containerd, its supervisor, and the containers of Compose projects
Documentation=https://github.com/compose-first/compose
Wants=network-online.target
After=network-online.target nss-lookup.target nftables.service firewalld.service ufw.service
After=docker.service containerd.service
RequiresMountsFor=%s
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
%sExecStart=%s engine run
Restart=always
RestartSec=5
RestartPreventExitStatus=%d
SuccessExitStatus=%d
WatchdogSec=%d
WatchdogSignal=SIGTERM
TimeoutAbortSec=10
TimeoutStartSec=infinity
TimeoutStopSec=10min
KillMode=process
Delegate=yes
LimitNOFILE=1024:524288
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
`, quote(s.State), environment.String(), quote(s.Binary), ExitStopped, ExitStopped, int(watchdog.Seconds()))
}

// Check returns an error unless systemd can be told to run the binary.
// Source: systemd, string_is_safe: no control characters, quotes, backslashes.
func (s Service) Check() error {
	if strings.ContainsFunc(s.Binary, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune("\"'\\", r) }) {
		return fmt.Errorf("systemd runs no program whose path has quotes, backslashes or control characters: %q", s.Binary)
	}
	return nil
}

// quote writes a word so that systemd reads it as it is.
// Source: systemd.syntax(7), quoting; systemd.unit(5), specifiers.
func quote(word string) string {
	word = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "%", "%%").Replace(word)
	return `"` + word + `"`
}
