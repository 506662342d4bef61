package faults

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A record that was cut off or overwritten is named; nothing of a volume is
// touched, and containers run on.
func TestGarbled(t *testing.T) {
	f := begin(t, shared, "a record or log garbled", `
services:
  web:
    image: busybox
    command: [sh, -c, "echo first; exec sleep 1000"]
    stop_signal: SIGKILL
    volumes: [data:/data]
volumes: {data: {}}
`)
	f.must("up", "-d")
	f.must("exec", "web", "sh", "-c", "echo precious > /data/file")
	id := f.named("web").ID
	network := filepath.Join(f.Root, "lib", "networks", "garbled_default.json")
	log := filepath.Join(f.Root, "lib", "containers", id, "log")
	for _, damage := range []struct {
		what, path string
		content    func([]byte) []byte
		named      string // what the message of up has to name; "" where up does not need it
	}{
		{"a network record cut off", network, func(b []byte) []byte { return b[:len(b)/2] }, "garbled_default"},
		{"a network record overwritten", network, func(b []byte) []byte { return []byte("\x00\xff{{{") }, "garbled_default"},
		{"a log cut off in a line", log, func(b []byte) []byte { return b[:len(b)-3] }, ""},
		{"a log overwritten", log, func(b []byte) []byte { return []byte("\x00\xff nonsense\n") }, ""},
	} {
		f.try(func() {
			whole, err := os.ReadFile(damage.path)
			if err != nil {
				f.Fatal(err)
			}
			if err := os.WriteFile(damage.path, damage.content(whole), 0o600); err != nil {
				f.Fatal(err)
			}
			r := f.compose("up", "-d")
			if damage.named == "" && r.Code != 0 || damage.named != "" && r.Code != 0 && !strings.Contains(r.Stderr, damage.named) {
				f.Errorf("%s: up: exit %d, %q", damage.what, r.Code, r.Stderr)
			}
			if r := f.compose("logs", "web"); r.Code != 0 {
				f.Errorf("%s: logs: exit %d, %q", damage.what, r.Code, r.Stderr)
			}
			if got := f.must("exec", "web", "cat", "/data/file"); got != "precious\n" || f.named("web").ID != id {
				f.Errorf("%s: the volume has %q, the container is %s", damage.what, got, f.named("web").ID)
			}
			if err := os.WriteFile(damage.path, whole, 0o600); err != nil {
				f.Fatal(err)
			}
		})
	}
	f.must("up", "-d")
}
