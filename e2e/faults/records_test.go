package faults

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-first/compose/internal/enginetest"
)

const garbledFile = `
services:
  web:
    image: busybox
    command: [sh, -c, "echo first; exec sleep 1000"]
    stop_signal: SIGKILL
    restart: always
    volumes: [data:/data, /anonymous]
volumes: {data: {}}
`

// Damage that a record may suffer.
var damages = []struct {
	how    string
	garble enginetest.Garble
}{
	{"cut off", func(b []byte) []byte { return b[:len(b)/2] }},
	{"overwritten", func([]byte) []byte { return []byte("\xff{{{") }},
	{"emptied", func([]byte) []byte { return nil }},
}

// A file that was cut off or overwritten is named and mended; nothing of a
// volume is touched, and containers run on.
func TestGarbledFiles(t *testing.T) {
	f := begin(t, shared, "a record or log of ours garbled", garbledFile)
	f.must("up", "-d")
	f.fillVolumes()
	id := f.named("web").ID
	for _, damaged := range []struct{ path, named string }{
		{filepath.Join(f.Root, "lib", "networks", "garbledfiles_default.json"), "garbledfiles_default"},
		{filepath.Join(f.Root, "lib", "volumes", "garbledfiles_data", "volume.json"), "garbledfiles_data"},
		{filepath.Join(f.Root, "lib", "containers", id, "log"), "garbledfiles-web-1"},
	} {
		isLog := filepath.Base(damaged.path) == "log"
		for _, damage := range damages {
			f.try(func() {
				what := damaged.path + " " + damage.how
				whole, err := os.ReadFile(damaged.path)
				if err != nil {
					f.Fatal(err)
				}
				if err := os.WriteFile(damaged.path, damage.garble(whole), 0o600); err != nil {
					f.Fatal(err)
				}
				up, logs := f.compose("up", "-d"), f.compose("logs", "web")
				if up.Code != 0 || logs.Code != 0 {
					f.Errorf("%s: up: exit %d, %q, logs: exit %d, %q", what, up.Code, up.Stderr, logs.Code, logs.Stderr)
				}
				// A log that ends early may well be whole: nobody can tell.
				if said := up.Stderr + logs.Stderr + f.agentLog(); !strings.Contains(said, damaged.named) && (!isLog || damage.how == "overwritten") {
					f.Errorf("%s: nobody names %s: %q", what, damaged.named, said)
				}
				f.unharmed(id)
				now, err := os.ReadFile(damaged.path)
				if err != nil || !isLog && string(now) != string(whole) {
					f.Errorf("%s: mended, it is %q, %v", what, now, err)
				}
				if err := os.WriteFile(damaged.path, whole, 0o600); err != nil {
					f.Fatal(err)
				}
			})
		}
	}
}

// What containerd keeps of a container is mended when somebody garbles it, any
// of it, and after that the restart policy still acts.
func TestGarbledInContainerd(t *testing.T) {
	f := begin(t, shared, "a record or label in containerd garbled", garbledFile)
	f.must("up", "-d")
	f.fillVolumes()
	id := f.named("web").ID
	labels, err := f.Labels(f.ctx, id)
	if err != nil {
		f.Fatal(err)
	}
	for _, damage := range damages {
		f.try(func() {
			said := len(f.agentLog())
			if err := f.GarbleExtensions(f.ctx, id, damage.garble); err != nil {
				f.Fatal(err)
			}
			f.mended(id, said)
		})
		f.try(func() {
			said := len(f.agentLog())
			for _, key := range labels {
				if err := f.GarbleLabel(f.ctx, id, key, func(b []byte) []byte {
					return []byte(strings.ToValidUTF8(string(damage.garble(b)), "?"))
				}); err != nil {
					f.Fatal(err)
				}
			}
			f.mended(id, said)
		})
	}
}

// mended waits until the agent, which has said so much before, names web's
// container and has put it right, and checks that all is as it was.
func (f *fault) mended(id string, said int) {
	f.Helper()
	f.until(seen, "the damage is named", func() bool {
		return strings.Contains(f.agentLog()[said:], "garbledincontainerd-web-1")
	})
	f.until(seen, "the container is itself again", func() bool {
		for _, c := range f.ps() {
			if c.ID == id && c.Service == "web" && c.State == "running" && strings.HasSuffix(c.Name, "-web-1") {
				return true
			}
		}
		return false
	})
	f.must("up", "-d")
	f.unharmed(id)
	old := f.Contained(id)
	f.killShim(id)
	f.until(patience, "the restart policy acts", func() bool {
		now := f.Contained(id)
		return len(now) > 0 && now[0] != old[0] && f.named("web").State == "running"
	})
	f.unharmed(id)
}

// fillVolumes writes something into web's volumes.
func (f *fault) fillVolumes() {
	f.Helper()
	f.must("exec", "web", "sh", "-c", "for d in /data /anonymous; do echo precious > $d/file; done")
}

// unharmed checks that web's container is the one that it was, with its volumes.
func (f *fault) unharmed(id string) {
	f.Helper()
	if got := f.must("exec", "web", "cat", "/data/file", "/anonymous/file"); got != "precious\nprecious\n" || f.named("web").ID != id {
		f.Errorf("the volumes have %q, the container is %s, which was %s", got, f.named("web").ID, id)
	}
}

// agentLog is what agent and logger have said.
func (f *fault) agentLog() string {
	f.Helper()
	b, err := os.ReadFile(filepath.Join(f.Root, "lib", "log", "agent.log"))
	if err != nil {
		f.Fatal(err)
	}
	return string(b)
}

// lastWords is the end of that.
func (f *fault) lastWords() string {
	f.Helper()
	all := f.agentLog()
	return all[max(0, len(all)-4000):]
}
