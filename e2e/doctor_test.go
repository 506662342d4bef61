package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	bootstrap "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"github.com/compose-first/compose/internal/cgroup"
	"github.com/compose-first/compose/internal/enginetest"
)

// finding is a line of doctor --format json.
type finding struct{ Check, Status, Found string }

// examine is what the doctor says of one check.
func examine(t *testing.T, e *enginetest.Engine, check string, args ...string) (lines []string, code int) {
	t.Helper()
	lines, code, err := ask(t.Context(), e, check, args...)
	if err != nil {
		t.Fatal(err)
	}
	return lines, code
}

// ask asks the doctor about one check.
func ask(ctx context.Context, e *enginetest.Engine, check string, args ...string) (lines []string, code int, err error) {
	r := e.Run(ctx, "/", nil, append([]string{"doctor", "--format", "json"}, args...)...)
	var report struct{ Findings []finding }
	if err := json.Unmarshal([]byte(r.Stdout), &report); err != nil {
		return nil, r.Code, fmt.Errorf("doctor, exit %d: %w\n%s%s", r.Code, err, r.Stdout, r.Stderr)
	}
	for _, f := range report.Findings {
		if f.Check == check {
			lines = append(lines, f.Status+" "+f.Found)
		}
	}
	return lines, r.Code, nil
}

// cleanLimit is how long the doctor may find what is just going.
const cleanLimit = 30 * time.Second

// clean is an error when the doctor finds something left over of an engine
// that has no project any more.
func clean(ctx context.Context, e *enginetest.Engine) error {
	for deadline := time.Now().Add(cleanLimit); ; {
		lines, _, err := ask(ctx, e, "left-overs")
		if err != nil {
			return err
		}
		left := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, "ok ") || ofOthers(e, l) })
		if len(lines) > 0 && len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the doctor finds left-overs:\n  %s", strings.Join(lines, "\n  "))
		}
	}
}

// ofOthers tells whether a line may be about an engine that is gone, which is
// not this suite's to answer for. This engine's own bridges and nftables tables
// are looked for when it is closed.
func ofOthers(e *enginetest.Engine, line string) bool {
	_, found, _ := strings.Cut(line, " ")
	for _, kind := range []string{"bridge ", "nftables table ", "nftables rule ", "processes "} {
		if strings.HasPrefix(found, kind) {
			return true
		}
	}
	return strings.HasPrefix(found, "cgroup ") && !strings.Contains(found, e.Tag())
}

// deadID is the id of a container that never was.
var deadID = strings.Repeat("0badc0de", 8)

// The doctor finds what killed processes leave of containers and networks, and
// of engines that are gone, and takes it away; what is in use stays.
func TestDoctorLeftovers(t *testing.T) {
	// Not beside others: their doctors, too, take away what engines that are gone have left.
	own := smallEngine(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(serviceProject), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, own, dir, "up", "-d")
	before, shims := own.Contained(""), own.Daemons("shim")
	if lines, code := examine(t, own, "left-overs"); code != 0 || ofThis(own, lines) != nil {
		t.Fatalf("with a project up, exit %d: %v", code, lines)
	}

	leave(t, own)
	lines, code := examine(t, own, "left-overs")
	if code != 0 {
		t.Errorf("left-overs are in nobody's way, and yet exit %d", code)
	}
	for _, want := range []string{
		"network namespace " + own.Root + "/run/netns/" + deadID,
		"pipes " + own.Root + "/run/streams/" + deadID,
		"log and files " + own.Root + "/lib/containers/" + deadID,
		"snapshot " + deadID,
		"/" + deadID, // a cgroup
		"shim of container " + deadID,
		"mount of an image 4194305-1",
		"note " + own.Root + "/lib/unfinished/",
		"bridge cbleft",
		"nftables elements of bridge cbleft",
		"nftables table compose-0badc0de",
		"bridge cbdead",
	} {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "warning ") && strings.Contains(l, want) }) {
			t.Errorf("not found: %s", want)
		}
	}
	if of := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return ofOthers(own, l) }); len(of) < 8 {
		t.Errorf("taken to be this engine's: %q", of)
	}
	if t.Failed() {
		t.Logf("found:\n%s\nof the shims %v", strings.Join(lines, "\n"), own.Daemons("shim"))
	}

	lines, code = examine(t, own, "left-overs", "--fix")
	for _, l := range ofThis(own, lines) {
		if !strings.HasPrefix(l, "fixed ") {
			t.Errorf("exit %d: %s", code, l)
		}
	}
	if lines, _ := examine(t, own, "left-overs"); ofThis(own, lines) != nil {
		t.Errorf("after --fix there is still:\n%s", strings.Join(lines, "\n"))
	}
	if left := own.Contained(deadID); len(left) > 0 {
		t.Errorf("processes %v still run", left)
	}
	if now := own.Daemons("shim"); len(now) != len(shims) {
		t.Errorf("shims %v, before %v", now, shims)
	}
	runOn(t, own, before)
	if err := own.NetworkThere(2); err != nil {
		t.Errorf("of the project: %v", err)
	}
	must(t, own, dir, "exec", "-T", "web", "nslookup", "db")
	must(t, own, dir, "down", "-t", "0")
}

// ofThis are the left-overs that this test has made: of engines that are gone,
// others may find and leave some meanwhile.
func ofThis(e *enginetest.Engine, lines []string) (mine []string) {
	for _, l := range lines {
		if strings.Contains(l, e.Root) || strings.Contains(l, deadID) || strings.Contains(l, "cbleft") || strings.Contains(l, "cbdead") || strings.Contains(l, "0badc0de") || strings.Contains(l, "4194305-1") {
			mine = append(mine, l)
		}
	}
	return mine
}

// leave leaves something of every kind.
func leave(t *testing.T, e *enginetest.Engine) {
	t.Helper()
	for _, sub := range []string{"run/streams", "lib/containers", "run/netns"} {
		if err := os.MkdirAll(filepath.Join(e.Root, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"run/streams/" + deadID, "lib/containers/" + deadID} {
		if err := os.Mkdir(filepath.Join(e.Root, path), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	abandoned := filepath.Join(e.Root, "lib", "unfinished", strings.Repeat("1badc0de", 8))
	for _, path := range []string{filepath.Join(e.Root, "run", "netns", deadID), abandoned} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shell(t, "unshare --net="+e.Root+"/run/netns/"+deadID+" true")
	tag := e.Tag()
	shell(t, `ip link add cbleft type bridge && ip link set cbleft alias "compose-`+tag+` left_default"`)
	shell(t, `nft add element inet compose-`+tag+` bridges '{ "cbleft" }'`)
	shell(t, `ip link add cbdead type bridge && ip link set cbdead alias "compose-0badc0de dead_default"`)
	shell(t, `nft add table inet compose-0badc0de`)
	t.Cleanup(func() {
		for _, name := range []string{"cbleft", "cbdead"} {
			if l, err := netlink.LinkByName(name); err == nil {
				_ = netlink.LinkDel(l)
			}
		}
		_ = exec.Command("nft", "delete", "table", "inet", "compose-0badc0de").Run()
	})
	leaveShim(t, e)
	leaveProcess(t, tag)
	leaveSnapshots(t, e)
}

// leaveShim leaves a shim that serves, and of which containerd does not know.
func leaveShim(t *testing.T, e *enginetest.Engine) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "log"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_RDWR, 0) // a shim waits for somebody to read it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	sockets, address := filepath.Join(e.Root, "run", "s"), filepath.Join(e.Root, "run", "containerd.sock")
	params, err := proto.Marshal(&bootstrap.BootstrapParams{
		InstanceID: deadID, Namespace: "compose", SocketDir: &sockets,
		ContainerdGrpcAddress: address, ContainerdTtrpcAddress: address + ".ttrpc",
	})
	if err != nil {
		t.Fatal(err)
	}
	start := exec.Command(filepath.Join(e.Libexec, "containerd-shim-runc-v2"), "-namespace", "compose", "-address", address, "-id", deadID, "start")
	start.Dir, start.Stdin = dir, bytes.NewReader(params)
	start.Env = append(os.Environ(), "TTRPC_ADDRESS="+address+".ttrpc")
	if out, err := start.CombinedOutput(); err != nil {
		t.Fatalf("start a shim: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		for _, p := range e.Daemons("shim") {
			if slices.Contains(p.Args, deadID) {
				_ = enginetest.KillProcess(context.Background(), p.PID)
			}
		}
	})
}

// leaveProcess leaves a process in the control groups of a container.
func leaveProcess(t *testing.T, tag string) {
	t.Helper()
	lone := exec.Command("sleep", "100000")
	if err := lone.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = lone.Wait(); close(done) }()
	t.Cleanup(func() { _ = lone.Process.Kill(); <-done })
	groups, err := cgroup.Find("compose-" + tag)
	if err != nil || len(groups) == 0 {
		t.Fatalf("no control group of the engine: %v", err)
	}
	joined := 0
	for _, group := range groups {
		if err := os.Mkdir(filepath.Join(group, deadID), 0o755); err != nil {
			t.Fatal(err)
		}
		// Version 1 takes no process into a cpuset that has no processors.
		if os.WriteFile(filepath.Join(group, deadID, "cgroup.procs"), []byte(strconv.Itoa(lone.Process.Pid)), 0) == nil {
			joined++
		}
	}
	if joined == 0 {
		t.Fatal("the process is in no control group")
	}
}

// leaveSnapshots leaves a container's files without the container, and those of
// an image that a process has mounted which is gone: no process has that number.
func leaveSnapshots(t *testing.T, e *enginetest.Engine) {
	t.Helper()
	client, err := containerd.New(filepath.Join(e.Root, "run", "containerd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx := namespaces.WithNamespace(t.Context(), "compose")
	const mount = "compose-mount-4194305-1"
	lease, err := client.LeasesService().Create(ctx, leases.WithID(mount))
	if err != nil {
		t.Fatal(err)
	}
	leased := leases.WithLease(ctx, lease.ID) // else containerd's garbage collection would be quicker
	for _, name := range []string{deadID, mount} {
		if _, err := client.SnapshotService("overlayfs").Prepare(leased, name, ""); err != nil {
			t.Fatalf("snapshot %s: %v", name, err)
		}
	}
}

func shell(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// A full disk stands in the way, and free space does not.
func TestDoctorDisk(t *testing.T) {
	t.Parallel()
	own := smallEngine(t)
	if lines, code := examine(t, own, "disk"); code != 0 || !strings.HasPrefix(lines[0], "warning ") {
		t.Errorf("of a small disk, exit %d: %v", code, lines)
	}
	free, err := own.FillDisk()
	if err != nil {
		t.Fatal(err)
	}
	if lines, code := examine(t, own, "disk"); code != 1 || !strings.HasPrefix(lines[0], "problem 0B of ") {
		t.Errorf("of a full disk, exit %d: %v", code, lines)
	}
	if err := free(); err != nil {
		t.Fatal(err)
	}
	if _, code := examine(t, own, "disk"); code != 0 {
		t.Errorf("after freeing space: exit %d", code)
	}
}

// A record that cannot be read is named.
func TestDoctorRecords(t *testing.T) {
	t.Parallel()
	own := smallEngine(t)
	path := filepath.Join(own.Root, "lib", "networks", "shop_default.json")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if lines, code := examine(t, own, "records"); code != 1 || !strings.Contains(lines[0], "problem ") || !strings.Contains(lines[0], path) {
		t.Errorf("exit %d: %v", code, lines)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if lines, code := examine(t, own, "records"); code != 0 {
		t.Errorf("exit %d: %v", code, lines)
	}
}

// An engine whose folder was removed under it is ended.
func TestDoctorStrays(t *testing.T) {
	t.Parallel()
	own := smallEngine(t)
	lost, err := engine.SmallDisk(t.Context(), smallDisk)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // what it has on disk is whole: it comes up again, and goes as it should
		lost.Run(context.Background(), "/", nil, "engine", "start")
		if err := lost.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	// Moved first: its daemons still write where it was.
	shell(t, "mv "+lost.Root+"/run "+lost.Root+"/gone && rm -rf "+lost.Root+"/gone")
	left := func(args ...string) string {
		lines, _ := examine(t, own, "left-overs", args...)
		return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return !strings.Contains(l, lost.Root+"/run was removed") }), "\n")
	}
	if got := left(); !strings.HasPrefix(got, "warning processes logger ") || !strings.Contains(got, ", containerd ") {
		t.Errorf("got %q", got)
	}
	left("--fix")
	if got := left(); got != "" {
		t.Errorf("after --fix: %q", got)
	}
	for _, daemon := range []string{"logger", "agent", "containerd"} {
		if now := lost.Daemons(daemon); len(now) != 0 {
			t.Errorf("%v still runs", now)
		}
	}
	if now := own.Daemons("containerd"); len(now) != 1 {
		t.Errorf("of the other engine there is %v", now)
	}
}

// An engine that stops leaves no shim that has lost its container: nobody would
// be there to end it.
func TestEngineStopEndsLostShims(t *testing.T) {
	t.Parallel()
	own := smallEngine(t)
	leaveShim(t, own)
	if r := own.Run(t.Context(), "/", nil, "engine", "stop"); r.Code != 0 {
		t.Fatalf("engine stop: exit %d\n%s", r.Code, r.Stderr)
	}
	if left := own.Daemons("shim"); len(left) > 0 {
		t.Errorf("%v still runs", left)
	}
	if r := own.Run(t.Context(), "/", nil, "engine", "start"); r.Code != 0 { // whoever closes it asks it what is left
		t.Fatalf("engine start: exit %d\n%s", r.Code, r.Stderr)
	}
}
