package project

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// FuzzEnvFile reads any env file: what it puts in is bounded.
func FuzzEnvFile(f *testing.F) {
	for _, s := range []string{"A=1\nB=${A}$A\n", "export A='x'\n#c\nB=\"${A:-${C:?no}}\"", "A: b\n\xef\xbb\xbf=", "A=${A:+${A}${A}}\nA=$A$A\nA=$A$A\n", "A='${'\nB=\"\\x\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "e.env")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		vars, err := ReadEnvFile(path, func(name string) (string, bool) { return strings.Repeat("x", len(name)*100), name == "BIG" })
		size := 0
		for name, value := range vars {
			size += len(name) + len(value)
		}
		if err == nil && size > maxExpanded+len(text) {
			t.Errorf("%d bytes of %d", size, len(text))
		}
	})
}

// FuzzPort reads ports as short forms write them: those that are spelled out
// have been counted before, and each is a port.
func FuzzPort(f *testing.F) {
	for _, s := range []string{"80", "8080:80", "127.0.0.1:8000-8010:80-90/udp", "[::1]:1:2", "1-65535", "80-79", "0", ":::80", "8080:80/tcp/udp", "1-3:5", "65535-65536"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		counted := loading{}
		if counted.countPort(text) != nil {
			return
		}
		ports, err := types.ParsePortConfig(text)
		if err == nil && len(ports) > counted.spent.ports {
			t.Errorf("%q: %d ports, and %d were counted", text, len(ports), counted.spent.ports)
		}
		for _, c := range ports {
			p, err := parsePort(c)
			if err == nil && (p.Target == 0 || p.PublishedEnd != 0 && p.PublishedEnd <= p.Published) {
				t.Errorf("%q: %+v", text, p)
			}
		}
		if exposed, err := parseExpose(text); err == nil && len(exposed) > counted.spent.ports {
			t.Errorf("%q: %d ports exposed, and %d were counted", text, len(exposed), counted.spent.ports)
		}
	})
}

// FuzzWords reads the small languages of a service's keys.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"on-failure:3", "always", "web.shop_default", "10.0.0.0/8", "fe80::1%eth0", "[::1]", "80-90", "${A:-${B}}", "$$", "max-size"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := parseRestart(s); err == nil && r.Max < 0 {
			t.Errorf("%q: %+v", s, r)
		}
		if err := checkHostname(s); err == nil && strings.ContainsFunc(s, unprintable) {
			t.Errorf("%q is a host name", s)
		}
		if err := checkPathName("volume", s); err == nil && (s == "." || s == ".." || strings.ContainsAny(s, "/\x00\n")) {
			t.Errorf("%q is a name", s)
		}
		_, _ = parseAddress(s)
		_, _ = parsePrefix(s)
		_, _, _ = parsePortRange(s)
		_, _ = parseLog(&types.LoggingConfig{Driver: "local", Options: map[string]string{"max-size": s, "max-file": s}})
		if checkReference(s) == nil && strings.ContainsFunc(s, unprintable) {
			t.Errorf("%q is an image", s)
		}
		if n := nesting(s); n > strings.Count(s, "${") {
			t.Errorf("%q is %d deep", s, n)
		}
		if n := variables(s); n < 0 || n > strings.Count(s, "$") {
			t.Errorf("%q has %d variables", s, n)
		}
	})
}
