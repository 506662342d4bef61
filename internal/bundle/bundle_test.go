package bundle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	versionapi "github.com/containerd/containerd/api/services/version/v1"
	containerd "github.com/containerd/containerd/v2/client"
	buildkit "github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/process"
)

// starterVariable makes the test binary a command that starts the engine and
// ends, so that tests can run several and kill one.
const starterVariable = "BUNDLE_TEST_STARTER"

func TestMain(m *testing.M) {
	if os.Getenv(starterVariable) == "" {
		os.Exit(m.Run())
	}
	root, err := layout.FromEnvironment()
	if err == nil {
		b := &Bundle{Root: root, Dir: os.Getenv(LibexecVariable)}
		_, err = b.EnsureContainerd(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// engine returns a bundle with a root of its own, stopped and removed after the test.
func engine(t *testing.T) *Bundle {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ce") // short: socket paths are limited
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(layout.RootVariable, dir)
	if os.Getenv(LibexecVariable) == "" {
		libexec, err := filepath.Abs("../../libexec/compose")
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(LibexecVariable, libexec)
	}
	root, err := layout.FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	b, err := Find(root, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, name := range []string{"containerd", "buildkitd"} {
				log, _ := os.ReadFile(root.DaemonLog(name))
				t.Logf("%s:\n%s", name, log)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return b
}

// starter is a process that starts the engine and ends.
func starter() *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), starterVariable+"=1")
	return cmd
}

// running returns the one containerd of a bundle.
func running(t *testing.T, b *Bundle) process.Process {
	t.Helper()
	p, ok := b.containerd().process()
	if !ok {
		t.Fatal("containerd does not run")
	}
	return p
}

func TestContainerdOutlivesItsStarter(t *testing.T) {
	b := engine(t)
	if out, err := starter().CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := running(t, b)
	address, err := b.EnsureContainerd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again := running(t, b); again != p {
		t.Errorf("a second containerd was started: %v after %v", again, p)
	}
	status := b.Status(t.Context())
	if s := status[0]; !s.Running || s.PID != p.PID || s.Socket != address || !strings.HasPrefix(s.Version, "2.") {
		t.Errorf("status of containerd: %+v", s)
	}
	if s := status[1]; s.Running || s.PID != 0 || s.Version != "" {
		t.Errorf("buildkitd runs without need: %+v", s)
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.Alive() {
		t.Error("containerd lives after stop")
	}
	if left, _ := filepath.Glob(filepath.Join(b.Root.Run, "*.sock*")); left != nil {
		t.Errorf("sockets left: %s", left)
	}
}

func TestFoldersOfTheStarterAreNotTheDaemons(t *testing.T) {
	b := engine(t)
	cmd := starter()
	cmd.Env = append(cmd.Env, "HOME=/tmp/of-the-starter", "TMPDIR=/tmp/of-the-starter")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", running(t, b).PID))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(environment), "of-the-starter") {
		t.Errorf("containerd has a folder that may go with its starter: %q", environment)
	}
}

func TestUmaskOfTheStarterIsNotTheDaemons(t *testing.T) {
	b := engine(t)
	cmd := starter()
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `umask 077; exec "$0"`, cmd.Path}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", running(t, b).PID))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(status), "Umask:\t0022\n") {
		t.Errorf("containerd's umask is not 022:\n%s", status)
	}
}

func TestManyStartersMakeOneEngine(t *testing.T) {
	b := engine(t)
	var together sync.WaitGroup
	for range 5 {
		together.Go(func() {
			if out, err := starter().CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	together.Wait()
	p := running(t, b)
	// The pid file names it, and there is none besides.
	if named, _, runs := process.ReadFile(b.Root.Pid("containerd")); !runs || named != p {
		t.Errorf("pid file names %v, running is %v", named, p)
	}
	log, err := os.ReadFile(b.Root.DaemonLog("containerd"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(log), "address already in use") {
		t.Errorf("a second one was tried:\n%s", log)
	}
}

// A starter that is killed at any moment leaves nothing that the next one
// cannot go on from.
func TestKilledStarter(t *testing.T) {
	b := engine(t)
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 15 * time.Millisecond, 30 * time.Millisecond, 60 * time.Millisecond} {
		cmd := starter()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(after, func() { cmd.Process.Kill() })
		cmd.Wait() // its end, by itself or by the signal, is what is awaited
		kill.Stop()
		os.Remove(b.Root.Pid("containerd")) // as if killed just before it was written
		if _, err := b.EnsureContainerd(t.Context()); err != nil {
			t.Fatalf("killed after %s: %v", after, err)
		}
		p := running(t, b)
		if err := b.Stop(t.Context()); err != nil {
			t.Fatalf("killed after %s: %v", after, err)
		}
		if p.Alive() {
			t.Fatalf("killed after %s: containerd lives after stop", after)
		}
	}
}

func TestContainerdIsReplacedWhenKilled(t *testing.T) {
	b := engine(t)
	if _, err := b.EnsureContainerd(t.Context()); err != nil {
		t.Fatal(err)
	}
	killed := running(t, b)
	if err := killed.Kill(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if b.containerd().listens() {
		t.Fatal("the killed containerd listens")
	}
	if _, err := b.EnsureContainerd(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := running(t, b); p == killed {
		t.Error("the killed containerd still counts as running")
	}
}

func TestStopRemovesEmptyCgroups(t *testing.T) {
	b := engine(t)
	hierarchy := "/sys/fs/cgroup" // version 2
	if _, err := os.Stat(filepath.Join(hierarchy, "cgroup.procs")); err != nil {
		hierarchies, err := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
		if err != nil || len(hierarchies) == 0 {
			t.Fatalf("no control groups: %v", err)
		}
		hierarchy = filepath.Dir(hierarchies[0])
	}
	parent := filepath.Join(hierarchy, b.Root.Cgroup())
	if err := os.MkdirAll(filepath.Join(parent, "buildkit", "step"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(parent); err == nil {
		t.Errorf("%s stays", parent)
	}
}

func TestStopSparesAStranger(t *testing.T) {
	b := engine(t)
	if err := os.MkdirAll(b.Root.Run, 0o700); err != nil {
		t.Fatal(err)
	}
	// Our own pid with another start time: the pid was given away again.
	self, ok := process.Of(os.Getpid())
	if !ok {
		t.Fatal("no process of our own")
	}
	self.Start--
	if err := self.WriteFile(b.Root.Pid("containerd"), ""); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err) // reached at all: we were not ended
	}
	if _, err := os.Stat(b.Root.Pid("containerd")); err == nil {
		t.Error("the stale pid file stays")
	}
}

func TestBuildkitSharesContainerdsImages(t *testing.T) {
	b := engine(t)
	address, err := b.EnsureBuildkit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	builder, err := buildkit.New(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer builder.Close()
	definition, err := llb.Scratch().File(llb.Mkfile("/hello", 0o644, []byte("hello"))).Marshal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const image = "example.com/hello:latest"
	_, err = builder.Solve(t.Context(), definition, buildkit.SolveOpt{
		Exports: []buildkit.ExportEntry{{Type: buildkit.ExporterImage, Attrs: map[string]string{"name": image, "unpack": "true"}}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := containerd.New(b.Root.ContainerdSocket(), containerd.WithDefaultNamespace(namespace))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	built, err := c.GetImage(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := built.IsUnpacked(t.Context(), "overlayfs"); err != nil || !unpacked {
		t.Errorf("unpacked %t, %v", unpacked, err)
	}
	workers, err := builder.ListWorkers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(workers) != 1 {
		t.Errorf("%d workers, want containerd's alone", len(workers))
	}
}

func TestDisabledPluginsStayOut(t *testing.T) {
	b := engine(t)
	address, err := b.EnsureContainerd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := containerd.New(address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	plugins, err := c.IntrospectionService().Plugins(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plugins.Plugins {
		if id := p.Type + "." + p.ID; slices.Contains(disabledPlugins, id) && p.InitErr == nil {
			t.Errorf("%s is loaded", id)
		}
	}
}

func TestFindNamesWhereItLooked(t *testing.T) {
	empty := t.TempDir()
	t.Setenv(LibexecVariable, empty)
	_, err := Find(layout.Root{}, "")
	if !errors.Is(err, ErrNoEngine) {
		t.Fatalf("got %v, want ErrNoEngine", err)
	}
	for _, part := range []string{empty, "make", "--containerd"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not mention %s", err, part)
		}
	}
	if b, err := Find(layout.Root{}, "unix:///run/containerd/containerd.sock"); err != nil || b.Address != "/run/containerd/containerd.sock" {
		t.Errorf("an existing containerd needs no binaries: %+v, %v", b, err)
	}
}

func TestTooLongSocketPath(t *testing.T) {
	dir := t.TempDir() // it goes after the engine has, which writes there as it ends
	b := engine(t)
	b.Root.Run = filepath.Join(dir, strings.Repeat("x", 100))
	_, err := b.EnsureContainerd(t.Context())
	if err == nil || !strings.Contains(err.Error(), layout.RootVariable) {
		t.Errorf("got %v, want an error that names %s", err, layout.RootVariable)
	}
}

func TestBrokenContainerdSaysWhy(t *testing.T) {
	b := engine(t)
	dir := t.TempDir()
	script := "#!/bin/sh\necho no space left on device >&2\nexit 3\n"
	if err := os.WriteFile(filepath.Join(dir, "containerd"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	b.Dir = dir
	_, err := b.EnsureContainerd(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no space left on device") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v, want its last words and exit status", err)
	}
}

// oldContainerd answers as containerd does, with a version of its own.
type oldContainerd struct {
	versionapi.UnimplementedVersionServer
	version string
}

func (o oldContainerd) Version(context.Context, *emptypb.Empty) (*versionapi.VersionResponse, error) {
	return &versionapi.VersionResponse{Version: o.version}, nil
}

func TestExistingContainerd(t *testing.T) {
	for _, tt := range []struct{ name, version, want string }{
		{"too old is refused", "1.6.20~ds1", "containerd 1.6.20~ds1 at SOCKET is too old: 1.7 or newer is needed"},
		{"1.7 will do", "v1.7.24", "<nil>"},
		{"a later major version will do", "3.0.0", "<nil>"},
		{"a development build is taken as new", "unknown", "<nil>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "c.sock")
			listener, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			server := grpc.NewServer()
			versionapi.RegisterVersionServer(server, oldContainerd{version: tt.version})
			go server.Serve(listener)
			defer server.Stop()
			b := &Bundle{Address: socket}
			_, err = b.EnsureContainerd(t.Context())
			if got := strings.ReplaceAll(fmt.Sprint(err), socket, "SOCKET"); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	b := &Bundle{Address: "/nowhere/c.sock"}
	_, err := b.EnsureContainerd(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no containerd answers at /nowhere/c.sock") {
		t.Errorf("got %v", err)
	}
}

// An engine's folders are closed, whoever made them, and another user's refused.
func TestFoldersAreRootsAlone(t *testing.T) {
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := ownFolder(open); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(open); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if err := os.Chown(open, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := ownFolder(open); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
		t.Errorf("another user's: %v", err)
	}
}
