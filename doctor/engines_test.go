package doctor

import (
	"testing"

	"github.com/compose-first/compose/internal/layout"
)

// Whatever shows that an engine may be alive is recognised, of every kind of
// process and mount that an engine has.
func TestAliveEngines(t *testing.T) {
	named := layout.Below("/srv/e").Tag()
	for _, tt := range []struct {
		name        string
		words       []string
		environment []string
		mounted     string
		want        string // "none": of no engine
	}{
		{name: "a command", words: []string{"compose", "up"}, environment: []string{"COMPOSE_ENGINE_ROOT=/srv/e/"}, want: named},
		{name: "its containerd", words: []string{"/x/containerd", "--config", "/srv/e/run/containerd.toml"}, want: named},
		{name: "its buildkitd", words: []string{"/x/buildkitd", "--config", "/srv/e/run/buildkitd-0a1b2c3d.toml"}, want: named},
		{name: "a shim of it", words: []string{"/x/containerd-shim-runc-v2", "-namespace", "compose", "-id", "1", "-address", "/srv/e/run/containerd.sock"}, want: named},
		{name: "the default engine's containerd", words: []string{"containerd", "--config", "/run/compose/containerd.toml"}, want: ""},
		{name: "the default engine's agent", words: []string{"compose", "agent", "run"}, want: ""},
		{name: "a containerd of others", words: []string{"containerd", "--config", "/etc/containerd/config.toml"}, want: "none"},
		{name: "a shell", words: []string{"sh", "-c", "x"}, environment: []string{"HOME=/root"}, want: "none"},
		{name: "a network namespace", mounted: "/srv/e/run/netns/0123", want: named},
		{name: "a container's root", mounted: "/srv/e/run/containerd/io.containerd.runtime.v2.task/compose/0123/rootfs", want: named},
		{name: "secrets of the default engine", mounted: "/run/compose/files", want: ""},
		{name: "a network namespace of the default engine", mounted: "/run/compose/netns/0123", want: ""},
		{name: "a disk", mounted: "/srv/e", want: "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := engineOf(tt.words, tt.environment)
			if tt.mounted != "" {
				got, ok = engineMounted(tt.mounted)
			}
			if !ok {
				got = "none"
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOlderThan(t *testing.T) {
	for release, want := range map[string]bool{
		"4.19.0-27-amd64": true, "5.9.1": true, "5.10.0-8-amd64": false, "5.15": false, "6.1.0": false, "10.0": false, "weird": false,
	} {
		if got := olderThan(release, oldestKernel); got != want {
			t.Errorf("%s: got %t", release, got)
		}
	}
}
