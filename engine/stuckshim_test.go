package engine

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	bootapi "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	taskapi "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/ttrpc"
	"github.com/containerd/typeurl/v2"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"github.com/compose-first/compose/internal/bundle"
	"github.com/compose-first/compose/internal/cgroup"
)

// A shim that never came to serve, because whoever started it was killed, does
// not keep its container from being started.
func TestStartPastAStuckShim(t *testing.T) {
	c := create(t, []string{"sleep", "1000"})
	pid := stuckShim(t, c.id)
	c.start()
	if state := inspect(t, c.id).State; state != StateRunning {
		t.Errorf("the container is %s", state)
	}
	awaitEnd(t, pid)
}

// Removing a container takes the shim along that was half made for it.
func TestRemoveTakesAHalfMadeShim(t *testing.T) {
	ctx, cancel := contextOf(t, 30*time.Second)
	defer cancel()
	c := create(t, []string{"sleep", "1000"})
	leaveMaking(t, c.id)
	pid := stuckShim(t, c.id)
	if err := shared.Remove(ctx, c.id); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, pid)
}

// Nor does one stay that serves, and of which containerd was not told any more.
func TestRemoveTakesAForgottenShim(t *testing.T) {
	c := create(t, []string{"sleep", "1000"})
	leaveMaking(t, c.id)
	s := servingShim(t, c.id)
	if err := shared.Remove(t.Context(), c.id); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, s.PID)
}

// Nor what the shim has made of the container until then.
func TestRemoveTakesAForgottenRun(t *testing.T) {
	ctx, cancel := contextOf(t, 30*time.Second)
	defer cancel()
	c := create(t, []string{"sleep", "1000"})
	leaveMaking(t, c.id)
	s := servingShim(t, c.id)
	first := createRun(ctx, t, s)
	if err := shared.Remove(ctx, c.id); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, s.PID)
	awaitEnd(t, first)
	if left := filepath.Join(shared.cfg.Root.Runc(), Namespace, c.id); exists(left) {
		t.Errorf("runc still has %s", left)
	}
}

// Nor does a process that runc had no time to write down keep its container
// from being started.
func TestStartPastAForgottenProcess(t *testing.T) {
	c := create(t, []string{"sleep", "1000"})
	leaveMaking(t, c.id)
	stray := exec.Command("sleep", "1000")
	if err := stray.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- stray.Wait() }()
	t.Cleanup(func() { _ = stray.Process.Kill() })
	joinCgroup(t, c.id, stray.Process.Pid)
	c.start()
	if state := inspect(t, c.id).State; state != StateRunning {
		t.Errorf("the container is %s", state)
	}
	<-ended
}

// leaveMaking leaves the note of a starter that was killed at it.
func leaveMaking(t *testing.T, id string) {
	t.Helper()
	if err := os.MkdirAll(shared.cfg.Root.Streams(id), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := shared.makingTask(id); err != nil {
		t.Fatal(err)
	}
}

// joinCgroup puts a process into the control group that runc looks at first.
func joinCgroup(t *testing.T, id string, pid int) {
	t.Helper()
	root := filepath.Join(cgroup.Root, "devices")
	if !exists(root) {
		root = cgroup.Root
	}
	dir := filepath.Join(root, shared.cgroup(id))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		t.Fatal(err)
	}
}

// createRun has a shim make a container that waits for its start, and returns
// the pid of the process that waits.
func createRun(ctx context.Context, t *testing.T, s shim) (pid int) {
	t.Helper()
	conn, err := net.Dial("unix", sockets(s.PID)[0])
	if err != nil {
		t.Fatal(err)
	}
	client := ttrpc.NewClient(conn)
	defer client.Close()
	mounts, err := shared.snapshots.Mounts(ctx, s.id)
	if err != nil {
		t.Fatal(err)
	}
	runtime, err := typeurl.MarshalAnyToProto(shared.runcOptions())
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(s.PID), "cwd"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(filepath.Join(bundle, "rootfs"), unix.MNT_DETACH) })
	if err := os.MkdirAll(filepath.Join(bundle, "rootfs"), 0o700); err != nil {
		t.Fatal(err)
	}
	made, err := taskapi.NewTTRPCTaskClient(client).Create(namespaces.WithNamespace(ctx, Namespace), &taskapi.CreateTaskRequest{
		ID: s.id, Bundle: bundle, Rootfs: protoMounts(mounts), Options: runtime,
	})
	if err != nil {
		t.Fatal(err)
	}
	return int(made.Pid)
}

// servingShim starts a container's shim and reads its log, as containerd does,
// and does not tell containerd of it.
func servingShim(t *testing.T, id string) shim {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bundle")
	s := startShim(t, id, dir)
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	eventually(t, "the shim serves", s.serves)
	return s
}

// stuckShim starts a container's shim as containerd does, and gives up on it at
// the moment when the shim is about to log.
func stuckShim(t *testing.T, id string) (pid int) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bundle")
	s := startShim(t, id, dir)
	if s.serves() {
		t.Fatal("the shim serves")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	return s.PID
}

// startShim starts a container's shim as containerd does, in a folder of which
// containerd does not know. It serves once somebody reads its log.
func startShim(t *testing.T, id, dir string) shim {
	t.Helper()
	ctx, cancel := contextOf(t, 30*time.Second)
	defer cancel()
	r, err := shared.containers.Get(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), r.Spec.GetValue(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "log"), 0o600); err != nil {
		t.Fatal(err)
	}
	sockets := filepath.Join(shared.cfg.Root.Run, "s")
	params, err := proto.Marshal(&bootapi.BootstrapParams{
		InstanceID: id, Namespace: Namespace, SocketDir: &sockets,
		ContainerdGrpcAddress: shared.cfg.Address, ContainerdTtrpcAddress: shared.cfg.Address + ".ttrpc",
	})
	if err != nil {
		t.Fatal(err)
	}
	start := exec.CommandContext(ctx, filepath.Join(os.Getenv(bundle.LibexecVariable), "containerd-shim-runc-v2"),
		"-namespace", Namespace, "-address", shared.cfg.Address, "-id", id, "start")
	start.Dir = dir
	start.Stdin = bytes.NewReader(params)
	start.Env = append(os.Environ(), "TTRPC_ADDRESS="+shared.cfg.Address+".ttrpc")
	if out, err := start.CombinedOutput(); err != nil {
		t.Fatalf("start a shim: %v\n%s", err, out)
	}
	all := shims(shared.cfg.Address)
	i := slices.IndexFunc(all, func(s shim) bool { return s.id == id })
	if i < 0 {
		t.Fatalf("no shim of %s among %v", short(id), all)
	}
	t.Cleanup(func() {
		if err := all[i].Kill(context.Background(), 10*time.Second); err != nil {
			t.Error(err)
		}
	})
	return all[i]
}

// awaitEnd waits until a process is gone.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	eventually(t, "the stuck shim ends", func() bool {
		_, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
		return os.IsNotExist(err)
	})
}
