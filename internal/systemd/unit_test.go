package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// services are engines whose units must be right, whatever their folders are called.
func services(t *testing.T) map[string]Service {
	odd := filepath.Join(t.TempDir(), "a b 50% $HOME %h")
	quoted := filepath.Join(t.TempDir(), `an "e" \n`)
	if err := os.MkdirAll(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(odd, "compose")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return map[string]Service{
		"the default engine": {Binary: "/bin/true", State: "/var/lib/compose"},
		"a named one":        {Binary: "/bin/true", Tag: "0a1b2c3d", State: "/srv/e/lib", Environment: []string{"COMPOSE_ENGINE_ROOT=/srv/e"}},
		"odd folders":        {Binary: binary, Tag: "0a1b2c3e", State: quoted, Environment: []string{"COMPOSE_ENGINE_ROOT=" + quoted}},
	}
}

// systemd itself reads the unit, and finds nothing to say about it.
func TestVerify(t *testing.T) {
	for name, s := range services(t) {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), s.Name())
			if err := os.WriteFile(path, []byte(s.Unit()), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("systemd-analyze", "verify", "--man=no", path)
			cmd.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL=warning", "SYSTEMD_COLORS=0")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, s.Name()) {
					t.Errorf("systemd: %s", line)
				}
			}
		})
	}
}

// A mistake in the unit would be seen.
func TestVerifySeesMistakes(t *testing.T) {
	s := Service{Binary: "/nonesuch", State: "/var/lib/compose"}
	path := filepath.Join(t.TempDir(), s.Name())
	if err := os.WriteFile(path, []byte(strings.Replace(s.Unit(), "KillMode=process", "KillMode=nobody", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "nobody") || !strings.Contains(string(out), "nonesuch") {
		t.Errorf("got %v\n%s", err, out)
	}
}

// What systemd cannot run is refused before anything is written.
func TestCheck(t *testing.T) {
	for path, good := range map[string]bool{
		"/usr/local/bin/compose": true,
		"/srv/a b/50%/compose":   true,
		`/srv/a"b/compose`:       false,
		`/srv/a\b/compose`:       false,
		"/srv/a\nb/compose":      false,
	} {
		if err := (Service{Binary: path}).Check(); (err == nil) != good {
			t.Errorf("%q: %v", path, err)
		}
	}
}
