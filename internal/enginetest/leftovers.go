package enginetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// settle is how long the kernel may take to end what has been taken down: a
// namespace's interfaces go some milliseconds after its last user.
const settle = 5 * time.Second

// Leftovers lists what is there of projects while the engine still runs, each
// with its kind: containers, tasks, snapshots that are no image's, leases,
// shims, network namespaces, bridges and veths, records of networks and
// volumes, so that a project has to be taken down with its volumes.
func (e *Engine) Leftovers(ctx context.Context) ([]string, error) {
	return eventually(ctx, func() ([]string, error) {
		left, err := e.inContainerd(ctx)
		if err != nil {
			return nil, err
		}
		left = append(left, lines(e.Daemons("shim"))...)
		left = append(left, e.files("run/netns/*", "run/streams/*", "run/files/*", "run/images/*", "run/subpaths/*", "run/shm/*", "lib/files/*", "lib/containers/*", "lib/networks/*", "lib/unfinished/*", "lib/volumes/*")...)
		links, err := e.links()
		return append(left, links...), err
	})
}

// remains lists what is there after the engine has stopped.
func (e *Engine) remains(ctx context.Context) ([]string, error) {
	return eventually(ctx, func() ([]string, error) {
		left := lines(e.Processes())
		mounts, err := e.mounts()
		if err != nil {
			return nil, err
		}
		tables, err := e.tables()
		if err != nil {
			return nil, err
		}
		return append(append(append(left, mounts...), tables...), e.cgroups()...), nil
	})
}

// eventually asks until nothing is left, or settle has passed.
func eventually(ctx context.Context, list func() ([]string, error)) ([]string, error) {
	deadline := time.Now().Add(settle)
	for {
		left, err := list()
		if err != nil || len(left) == 0 || time.Now().After(deadline) {
			return left, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return left, ctx.Err()
		}
	}
}

// inContainerd lists containers, tasks, leases and snapshots without an image.
func (e *Engine) inContainerd(ctx context.Context) ([]string, error) {
	client, err := containerd.New(filepath.Join(e.Root, "run", "containerd.sock"))
	if err != nil {
		return nil, fmt.Errorf("connect to containerd: %w", err)
	}
	defer client.Close()
	ctx = namespaces.WithNamespace(ctx, "compose")
	var left []string
	containers, err := client.Containers(ctx)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	for _, c := range containers {
		left = append(left, "container "+c.ID())
		if _, err := c.Task(ctx, nil); err == nil {
			left = append(left, "task "+c.ID())
		}
	}
	leases, err := client.LeasesService().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	for _, l := range leases {
		if !buildkits(l.ID) && !hasPrefix(l.Labels, "buildkit") {
			left = append(left, "lease "+l.ID)
		}
	}
	err = client.SnapshotService("overlayfs").Walk(ctx, func(_ context.Context, s snapshots.Info) error {
		if s.Kind != snapshots.KindCommitted && !buildkits(s.Name) {
			left = append(left, "snapshot "+s.Name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	return left, nil
}

// buildkitID is how BuildKit names what it keeps in its cache.
// Source: github.com/moby/buildkit, identity.NewID: 25 digits of base 36, and
// cache/refs.go, viewSnapshotID.
var buildkitID = regexp.MustCompile(`^(buildkit.*|[0-9a-z]{25}(-variants|-view)?|sha256:[0-9a-f]{64}-view)$`)

// buildkits reports whether a lease or snapshot is of BuildKit's cache, which
// stays until it is asked to go.
func buildkits(id string) bool { return buildkitID.MatchString(id) }

func hasPrefix(labels map[string]string, prefix string) bool {
	for k := range labels {
		if strings.HasPrefix(k, prefix) {
			return true
		}
	}
	return false
}

func (e *Engine) files(patterns ...string) []string {
	var left []string
	for _, p := range patterns {
		found, _ := filepath.Glob(filepath.Join(e.Root, p)) // the patterns are well formed
		for _, f := range found {
			left = append(left, "file "+f)
		}
	}
	return left
}

// links lists this engine's interfaces in the machine's own namespace. A veth
// is told by the bridge it is in; one in none is of whoever lost a bridge, and
// counts when it was not there before.
func (e *Engine) links() ([]string, error) {
	list, err := listLinks()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	mine := map[int]bool{0: true} // by index; 0 is no bridge
	for _, l := range list {
		mine[l.Attrs().Index] = e.owns(l.Attrs())
	}
	var left []string
	for _, l := range list {
		a := l.Attrs()
		port := l.Type() == "veth" && strings.HasPrefix(a.Name, "cv") && mine[a.MasterIndex] && !e.before[a.Index]
		if port || mine[a.Index] {
			left = append(left, "interface "+a.Name)
		}
	}
	return left, nil
}

// listLinks lists the interfaces of the machine's own namespace, again when
// they changed meanwhile.
func listLinks() ([]netlink.Link, error) {
	for {
		list, err := netlink.LinkList()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return list, err
		}
	}
}

// owns reports whether an interface carries this engine's mark.
func (e *Engine) owns(a *netlink.LinkAttrs) bool {
	return strings.HasPrefix(a.Alias, "compose-"+e.Tag()+" ")
}

// allLinks are the indices of all interfaces of the machine's own namespace.
func allLinks() (map[int]bool, error) {
	list, err := listLinks()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	all := map[int]bool{}
	for _, l := range list {
		all[l.Attrs().Index] = true
	}
	return all, nil
}

func lines(processes []Process) []string {
	var left []string
	for _, p := range processes {
		left = append(left, p.String())
	}
	return left
}

func (e *Engine) mounts() ([]string, error) {
	points, err := e.mountPoints("")
	var left []string
	for _, p := range points {
		left = append(left, "mount "+p)
	}
	return left, err
}

// mountPoints lists what is mounted below a folder of the root, in the order
// of mounting.
func (e *Engine) mountPoints(folder string) ([]string, error) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var points []string
	for line := range strings.Lines(string(info)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], filepath.Join(e.Root, folder)+"/") && f[4] != e.disk {
			points = append(points, f[4])
		}
	}
	return points, nil
}

// Tag is how the engine's names in the kernel are told from other engines'.
func (e *Engine) Tag() string {
	sum := sha256.Sum256([]byte(filepath.Join(e.Root, "lib")))
	return hex.EncodeToString(sum[:4])
}

func (e *Engine) tables() ([]string, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	tables, err := e.ownTables(conn)
	var left []string
	for _, t := range tables {
		left = append(left, "nftables table "+t.Name)
	}
	return left, err
}

func (e *Engine) ownTables(conn *nftables.Conn) ([]*nftables.Table, error) {
	all, err := conn.ListTables()
	if err != nil {
		return nil, fmt.Errorf("list nftables: %w", err)
	}
	var own []*nftables.Table
	for _, t := range all {
		if strings.Contains(t.Name, e.Tag()) {
			own = append(own, t)
		}
	}
	return own, nil
}

func (e *Engine) cgroups() []string {
	var left []string
	for _, path := range e.cgroupPaths() {
		left = append(left, "cgroup "+path)
	}
	return left
}

// NetworkThere returns an error unless the engine has a bridge, an nftables
// table, and a network namespace for each of so many containers.
func (e *Engine) NetworkThere(containers int) error {
	links, err := e.links()
	if err != nil {
		return err
	}
	tables, err := e.tables()
	if err != nil {
		return err
	}
	bound, err := e.mountPoints("run/netns")
	if err != nil {
		return err
	}
	if len(links) == 0 || len(tables) == 0 || len(bound) < containers {
		return fmt.Errorf("there are %q, %q, %q", links, tables, bound)
	}
	return nil
}
