package bundle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	versionapi "github.com/containerd/containerd/api/services/version/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/compose-first/compose/internal/layout"
)

// Used tells whether our own containerd has ever run: then it may hold images,
// containers and more, running or not.
func (b *Bundle) Used() bool {
	if b.Address != "" {
		return false
	}
	_, err := os.Stat(b.Root.ContainerdRoot())
	return err == nil
}

// EnsureContainerd returns the socket path of a containerd that serves: the one
// that Address names, or our own, which is started when it does not run. It
// then runs on by itself, whatever becomes of the process that started it.
func (b *Bundle) EnsureContainerd(ctx context.Context) (address string, err error) {
	if b.Address != "" {
		return b.Address, checkExisting(ctx, b.Address)
	}
	if err := CheckRoot(); err != nil {
		return "", err
	}
	d := b.containerd()
	return d.socket, d.ensure(ctx)
}

// Renew ends our own containerd, and buildkitd, where they run but do not
// answer, or are older than the programs on disk: EnsureContainerd starts them
// anew. Running containers are not touched, a build is.
func (b *Bundle) Renew(ctx context.Context) error {
	if b.Address != "" {
		return b.buildkit(b.Address).endStale(ctx)
	}
	d := b.containerd()
	return errors.Join(b.buildkit(d.socket).endStale(ctx), d.endStale(ctx))
}

// minVersion is the oldest containerd that compose is made for: the one with
// long-term support before 2.0.
var minVersion = [2]int{1, 7}

// existingLimit is how long a containerd that is already there may take to answer.
const existingLimit = 10 * time.Second

// checkExisting returns an error unless a containerd of at least minVersion
// answers at address.
func checkExisting(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, existingLimit)
	defer cancel()
	conn, err := net.Dial("unix", address) // first, for its plain error
	if err != nil {
		return fmt.Errorf("no containerd answers at %s: %w", address, errors.Unwrap(err))
	}
	conn.Close()
	version, err := containerdVersion(ctx, address)
	if err != nil {
		return fmt.Errorf("no containerd answers at %s: %w", address, err)
	}
	if tooOld(version) {
		return fmt.Errorf("containerd %s at %s is too old: %d.%d or newer is needed", version, address, minVersion[0], minVersion[1])
	}
	return nil
}

// tooOld compares a version, "v2.1.0" or "1.6.20~ds1", with minVersion. What
// cannot be read, such as a development build's, is taken as new.
func tooOld(version string) bool {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil {
		return false
	}
	return major < minVersion[0] || major == minVersion[0] && minor < minVersion[1]
}

// containerdVersion asks the containerd at a socket path for its version.
func containerdVersion(ctx context.Context, socket string) (string, error) {
	conn, err := grpc.NewClient("passthrough:///unix",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	answer, err := versionapi.NewVersionClient(conn).Version(ctx, &emptypb.Empty{})
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(answer.Version, "v"), nil
}

// containerdGC is containerd's GOGC. Its live heap is a few MiB: collecting at
// half growth costs no measurable time and keeps what it holds at rest small.
const containerdGC = 50

// containerd describes our own containerd.
func (b *Bundle) containerd() daemon {
	socket := b.Root.ContainerdSocket()
	return daemon{
		name:    "containerd",
		root:    b.Root,
		args:    []string{b.binary("containerd"), "--config", b.Root.ContainerdConfig()},
		env:     environment(b.Root, b.Dir, containerdGC),
		socket:  socket,
		further: []string{socket + ttrpcSuffix},
		prepare: func(context.Context) error {
			return writeFile(b.Root.ContainerdConfig(), []byte(containerdConfig(b.Root.ContainerdRoot(), b.Root.ContainerdState(), socket, shimSockets(b.Root))))
		},
		version: func(ctx context.Context) (string, error) { return containerdVersion(ctx, socket) },
	}
}

// disabledPlugins are the parts of containerd that compose does not use, each
// of which costs memory, start-up time or a folder outside the engine's root.
var disabledPlugins = []string{
	"io.containerd.differ.v1.erofs",
	"io.containerd.grpc.v1.cri", // not in our build; here for one that has it
	"io.containerd.image-verifier.v1.bindir",
	"io.containerd.internal.v1.opt", // would make /opt/containerd
	"io.containerd.internal.v1.tracing",
	"io.containerd.metrics.v1.grpc-prometheus",
	"io.containerd.monitor.container.v1.restart", // compose's agent restarts
	"io.containerd.monitor.task.v1.cgroups",      // metrics; the shim reports out-of-memory kills
	"io.containerd.mount-handler.v1.erofs",
	"io.containerd.nri.v1.nri",
	"io.containerd.server.v1.debug",
	"io.containerd.server.v1.metrics",
	"io.containerd.snapshotter.v1.blockfile",
	"io.containerd.snapshotter.v1.btrfs",
	"io.containerd.snapshotter.v1.devmapper",
	"io.containerd.snapshotter.v1.erofs",
	"io.containerd.snapshotter.v1.zfs",
	"io.containerd.tracing.processor.v1.otlp",
}

// containerdConfig is the file that our containerd reads. Nothing of it, nor
// of what it imports, comes from /etc/containerd: that belongs to another engine.
func containerdConfig(root, state, socket, shims string) string {
	var disabled strings.Builder
	for _, plugin := range disabledPlugins {
		fmt.Fprintf(&disabled, "  %q,\n", plugin)
	}
	return fmt.Sprintf(`# Written by compose at each start of its engine.
version = 4
root = %q
state = %q
imports = []
disabled_plugins = [
%s]

[debug]
  level = "warn"

# On a busy machine a shim takes long to answer. containerd leaves one that has
# not answered in time out of its list, as if the container had ended, takes one
# for dead that does not answer when containerd starts, and leaves one behind
# that does not end in time.
[timeouts]
  "io.containerd.timeout.task.state" = "20s"
  "io.containerd.timeout.shim.load" = "30s"
  "io.containerd.timeout.shim.cleanup" = "30s"
  "io.containerd.timeout.shim.shutdown" = "30s"

[plugins.'io.containerd.server.v1.grpc']
  address = %q

[plugins.'io.containerd.server.v1.ttrpc']
  address = %q

[plugins.'io.containerd.shim.v1.manager']
  socket_dir = %q
`, root, state, disabled.String(), socket, socket+ttrpcSuffix, shims)
}

// maxShimSockets is how long the folder of shims' sockets can be, bytes.
// Source: containerd 2.4, core/runtime/v2/socket_linux.go, maxSocketDirLen.
const maxShimSockets = 42

// shimSockets is where shims listen: within the engine's root, so that they go
// with it. Where that is too deep it is "", containerd's own /run/containerd/s,
// in which the names of several engines' sockets do not meet either.
func shimSockets(root layout.Root) string {
	if dir := filepath.Join(root.Run, "s"); len(dir) <= maxShimSockets {
		return dir
	}
	return ""
}

// ttrpcSuffix is what containerd itself puts behind the socket's path for the
// second one, on which shims report.
const ttrpcSuffix = ".ttrpc"
