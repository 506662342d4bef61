package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"

	buildkit "github.com/moby/buildkit/client"

	"github.com/compose-first/compose/internal/apparmor"
)

// namespace is the containerd namespace of all that compose makes. What
// buildkitd builds is there as soon as it is built.
const namespace = "compose"

// EnsureBuildkit returns the URL of a buildkitd that serves and whose images
// are those of containerd; both are started when they do not run.
func (b *Bundle) EnsureBuildkit(ctx context.Context) (address string, err error) {
	containerd, err := b.EnsureContainerd(ctx)
	if err != nil {
		return "", err
	}
	if err := CheckRoot(); err != nil {
		return "", err
	}
	if b.Dir == "" || !executable(b.binary("buildkitd")) {
		return "", fmt.Errorf("build: %w: no buildkitd in %q; run `make` in the source folder", ErrNoEngine, b.Dir)
	}
	d := b.buildkit(containerd)
	return "unix://" + d.socket, d.ensure(ctx)
}

// buildkitGC is buildkitd's GOGC: it is idle most of the time.
const buildkitGC = 50

// buildkit describes the buildkitd of a containerd. One beside a containerd
// that is not ours has a socket, a root and a name of its own: its cache means
// nothing to another containerd.
func (b *Bundle) buildkit(containerd string) daemon {
	name, root, socket := "buildkitd", b.Root.BuildkitRoot(), b.Root.BuildkitSocket()
	if b.Address != "" {
		sum := sha256.Sum256([]byte(containerd))
		mark := "-" + hex.EncodeToString(sum[:4])
		name, root, socket = name+mark, root+mark, strings.TrimSuffix(socket, ".sock")+mark+".sock"
	}
	config := filepath.Join(b.Root.Run, name+".toml")
	return daemon{
		name:    name,
		root:    b.Root,
		args:    []string{b.binary("buildkitd"), "--config", config},
		env:     environment(b.Root, b.Dir, buildkitGC),
		socket:  socket,
		further: []string{socket + traceSuffix},
		prepare: func(ctx context.Context) error {
			if err := b.endSteps(ctx, containerd); err != nil {
				return err
			}
			profile, err := stepProfile()
			if err != nil {
				return err
			}
			return writeFile(config, []byte(buildkitConfig(root, socket, containerd, b.Root.Cgroup(), profile)))
		},
		version: func(ctx context.Context) (string, error) { return buildkitVersion(ctx, socket) },
	}
}

// traceSuffix is put behind the socket's path for the one on which build steps
// report traces; by default it would lie outside the engine's root.
const traceSuffix = ".otel"

// stepProfile is the AppArmor profile of RUN steps, loaded: that of containers,
// or "" on a host without AppArmor.
func stepProfile() (string, error) {
	if !apparmor.Enabled() {
		return "", nil
	}
	return apparmor.Default, apparmor.Load()
}

// buildkitConfig is the file that our buildkitd reads. RUN steps share the
// host's network, as there is no project network to put them on; the limits of
// the cache are BuildKit's own, which follow the size of the disk.
func buildkitConfig(root, socket, containerd, cgroup, profile string) string {
	return fmt.Sprintf(`# Written by compose at each start of buildkitd.
root = %[1]q
insecure-entitlements = ["network.host", "security.insecure"]

[log]
  level = "warn"

[grpc]
  address = ["unix://%[2]s"]

[otel]
  socketPath = %[6]q

[cdi]
  disabled = true

[history]
  maxAge = "24h"
  maxEntries = 20

[worker.oci]
  enabled = false

[worker.containerd]
  enabled = true
  address = %[3]q
  namespace = %[4]q
  snapshotter = "overlayfs"
  networkMode = "host"
  defaultCgroupParent = %[5]q
  apparmor-profile = %[7]q
  gc = true
`, root, socket, containerd, namespace, cgroup, socket+traceSuffix, profile)
}

// buildkitVersion asks the buildkitd at a socket path for its version.
func buildkitVersion(ctx context.Context, socket string) (string, error) {
	c, err := buildkit.New(ctx, "unix://"+socket)
	if err != nil {
		return "", err
	}
	defer c.Close()
	info, err := c.Info(ctx)
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(info.BuildkitVersion.Version, "v"), nil
}
