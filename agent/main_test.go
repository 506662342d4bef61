package agent

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/bundle"
	"github.com/compose-first/compose/internal/enginetest"
	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/logfile"
	"github.com/compose-first/compose/internal/process"
	"github.com/compose-first/compose/netplan"
	"github.com/compose-first/compose/project"
)

// The tests share one private engine, one image and one network.
var (
	root    layout.Root
	daemon  *bundle.Bundle
	client  *engine.Client
	image   engine.Image
	nets    *netplan.Host
	network netplan.Network
)

// versionVariable is the version that the test binary has as an agent.
const versionVariable = "COMPOSE_AGENT_TEST_VERSION"

const testImage = "docker.io/library/agenttest:latest"

// TestMain runs the tests, or is the logger or the agent that they start.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "agent" {
		if err := beDaemon(os.Args[2]); err != nil {
			log.Fatal(err)
		}
		return
	}
	if enginetest.Fuzzing() {
		os.Exit(m.Run())
	}
	code, err := runTests(m)
	if err != nil {
		log.Print(err)
		code = 1
	}
	os.Exit(code)
}

// beDaemon is what the compose binary does as `agent logger` and `agent run`.
func beDaemon(name string) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	root, err := layout.FromEnvironment()
	if err != nil {
		return err
	}
	b, err := bundle.Find(root, "")
	if err != nil {
		return err
	}
	if name == "logger" {
		err = Logger(ctx, root, os.Args[0])
	} else {
		err = Run(ctx, Config{
			Root: root, Version: os.Getenv(versionVariable), Log: slog.Default(),
			Connect: func(ctx context.Context) (*engine.Client, error) { return connect(ctx, root, b) },
			EnsureEngine: func(ctx context.Context) error {
				_, err := b.EnsureContainerd(ctx)
				return err
			},
			Start: startWired,
		})
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func connect(ctx context.Context, root layout.Root, b *bundle.Bundle) (*engine.Client, error) {
	return engine.Connect(ctx, engine.Config{Address: root.ContainerdSocket(), Root: root, RuncPath: filepath.Join(b.Dir, "runc")})
}

// startWired is what the host room does to start a container: its network and
// names, then itself.
func startWired(ctx context.Context, eng *engine.Client, c engine.Container) error {
	root, err := layout.FromEnvironment()
	if err != nil {
		return err
	}
	if err := wire(ctx, root, c.ID, c.Record); err != nil {
		return err
	}
	if err := Find(root).Ready(ctx, c.ID); err != nil {
		return err
	}
	return eng.Start(ctx, c.ID)
}

func wire(ctx context.Context, root layout.Root, id string, r project.Record) error {
	h, err := netplan.NewHost(root)
	if err != nil {
		return err
	}
	var wires []netplan.Wire
	for _, a := range r.Networks {
		n, err := netplan.OpenStore(root).Get(a.Network)
		if err != nil {
			return err
		}
		if err := h.Ensure(ctx, n); err != nil {
			return err
		}
		wires = append(wires, netplan.Wire{Attachment: a, Network: n})
	}
	return h.Attach(ctx, root.Netns(id), wires, netplan.AttachOptions{})
}

func runTests(m *testing.M) (code int, retErr error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("/tmp", "ca") // short: socket paths are limited
	if err != nil {
		return 1, err
	}
	os.Setenv(layout.RootVariable, dir)
	os.Setenv(versionVariable, "1")
	if os.Getenv(bundle.LibexecVariable) == "" {
		libexec, err := filepath.Abs("../libexec/compose")
		if err != nil {
			return 1, err
		}
		os.Setenv(bundle.LibexecVariable, libexec)
	}
	if root, err = layout.FromEnvironment(); err != nil {
		return 1, err
	}
	if daemon, err = bundle.Find(root, ""); err != nil {
		return 1, err
	}
	defer func() {
		retErr = errors.Join(retErr, tearDown(ctx, dir))
	}()
	if _, err := daemon.EnsureContainerd(ctx); err != nil {
		return 1, err
	}
	if client, err = connect(ctx, root, daemon); err != nil {
		return 1, err
	}
	defer client.Close()
	archive, err := imageArchive(testImage)
	if err != nil {
		return 1, err
	}
	if _, err := client.Load(ctx, archive); err != nil {
		return 1, err
	}
	if image, err = client.ResolveImage(ctx, testImage, ""); err != nil {
		return 1, err
	}
	if nets, err = netplan.NewHost(root); err != nil {
		return 1, err
	}
	n, err := netplan.Define("t", "default", "hash", types.NetworkConfig{Name: "t_default"})
	if err != nil {
		return 1, err
	}
	if network, err = nets.Create(ctx, n); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// tearDown ends all that the tests started, and says what they left.
func tearDown(ctx context.Context, dir string) error {
	errs := []error{Find(root).Stop(ctx)}
	if nets != nil {
		errs = append(errs, nets.Delete(ctx, network), nets.Cleanup(ctx))
	}
	return errors.Join(append(errs, daemon.Stop(ctx), os.RemoveAll(dir))...)
}

// imageArchive is a docker-save archive with the host's static busybox.
func imageArchive(name string) (io.Reader, error) {
	busybox, err := os.ReadFile("/usr/bin/busybox")
	if err != nil {
		return nil, fmt.Errorf("the tests need the package busybox-static: %w", err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	put := func(h tar.Header, data []byte) {
		h.Size = int64(len(data))
		_ = w.WriteHeader(&h)
		_, _ = w.Write(data)
	}
	put(tar.Header{Name: "bin/busybox", Mode: 0o755}, busybox)
	for _, applet := range strings.Fields("sh sleep echo cat touch rm test true false nslookup httpd ping mkdir seq") {
		put(tar.Header{Name: "bin/" + applet, Linkname: "busybox", Typeflag: tar.TypeSymlink}, nil)
	}
	put(tar.Header{Name: "tmp/", Mode: 0o1777, Typeflag: tar.TypeDir}, nil)
	if err := w.Close(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(layer.Bytes())
	config, _ := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux",
		"config": map[string]any{"Env": []string{"PATH=/bin"}, "Cmd": []string{"sh"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
	})
	manifest, _ := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	var archive bytes.Buffer
	w = tar.NewWriter(&archive)
	put(tar.Header{Name: "config.json", Mode: 0o644}, config)
	put(tar.Header{Name: "layer.tar", Mode: 0o644}, layer.Bytes())
	put(tar.Header{Name: "manifest.json", Mode: 0o644}, manifest)
	return &archive, w.Close()
}

// ensure has the agent running, in the version of the tests.
func ensure(t *testing.T) *Client {
	t.Helper()
	c, err := Ensure(t.Context(), root, os.Args[0], "1")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// container is a container of a test, removed when that ends.
type container struct {
	t    *testing.T
	id   string
	name string
}

// create makes a container on the tests' network that runs a script.
func create(t *testing.T, service, script string, change ...func(*project.Record)) container {
	t.Helper()
	ctx := t.Context()
	r := project.Record{
		Project: "t", Service: service, Number: 1, Hostname: service, Image: testImage,
		Networks:  []project.Attachment{{Network: network.Name, Interface: "eth0", Address: freeAddress(t), Gateway: true}},
		Restart:   project.Restart{Name: "no"},
		StopGrace: time.Second,
		Log:       project.Log{Driver: "json-file"},
	}
	for _, f := range change {
		f(&r)
	}
	c := container{t: t, id: engine.NewID(), name: "t-" + service + "-1"}
	cfg := engine.CreateConfig{
		ID: c.id, Name: c.name, Record: r, Image: image, Netns: root.Netns(c.id),
		Labels: map[string]string{project.LabelProject: "t", project.LabelService: service, project.LabelNumber: "1", project.LabelOneOff: "False"},
	}
	cfg.Service.Command = types.ShellCommand{"sh", "-c", script}
	if err := client.Create(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		_ = client.MarkStopped(ctx, c.id, true)
		err := errors.Join(client.Remove(ctx, c.id), nets.Detach(ctx, root.Netns(c.id)))
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			t.Errorf("clean up %s: %v", c.name, err)
		}
	})
	return c
}

// freeAddress is an address that no container of the tests has.
func freeAddress(t *testing.T) netip.Prefix {
	t.Helper()
	all, err := client.Observe(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	taken := map[netip.Addr]bool{}
	for _, c := range all {
		for _, a := range c.Record.Networks {
			taken[a.Address.Addr()] = true
		}
	}
	p, err := network.FreeAddress(func(a netip.Addr) bool { return taken[a] })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// start starts a container by hand.
func (c container) start() {
	c.t.Helper()
	now, err := client.Inspect(c.t.Context(), c.id)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := startWired(c.t.Context(), client, now); err != nil {
		c.t.Fatal(err)
	}
}

// begin is create and start.
func begin(t *testing.T, service, script string, change ...func(*project.Record)) container {
	t.Helper()
	c := create(t, service, script, change...)
	c.start()
	return c
}

func (c container) inspect() engine.Container {
	c.t.Helper()
	now, err := client.Inspect(c.t.Context(), c.id)
	if err != nil {
		c.t.Fatal(err)
	}
	return now
}

// run runs a script in a container and returns what it wrote and its exit code.
func (c container) run(script string) (string, int) {
	c.t.Helper()
	var out bytes.Buffer
	code, err := client.Exec(c.t.Context(), c.id, engine.ExecConfig{Args: []string{"sh", "-c", script}, Stdout: &out})
	if err != nil {
		c.t.Fatal(err)
	}
	return out.String(), code
}

// log is what a container wrote to its standard output, as its log has it.
func (c container) log() string {
	c.t.Helper()
	var b strings.Builder
	err := logfile.Read(context.Background(), root.ContainerLog(c.id), logfile.Options{Tail: -1}, func(e logfile.Entry) error {
		if e.Stream == logfile.Stdout {
			b.Write(e.Text)
			if !e.Partial {
				b.WriteByte('\n')
			}
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return b.String()
}

// until polls until a condition holds, and says how long that took.
func until(t *testing.T, what string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for deadline := began.Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			words, _ := os.ReadFile(root.DaemonLog("agent"))
			t.Fatalf("never: %s\nthe agent's log:\n%s", what, words[max(0, len(words)-4000):])
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

// pidOf is the process of a daemon, 0 while it does not run.
func pidOf(name string) int {
	p, _, runs := process.ReadFile(root.Pid(name))
	if !runs {
		return 0
	}
	return p.PID
}

// kill kills a daemon without warning.
func kill(t *testing.T, name string) {
	t.Helper()
	pid := pidOf(name)
	if pid == 0 {
		t.Fatalf("%s does not run", name)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, name+" is gone", func() bool { return pidOf(name) != pid })
}
