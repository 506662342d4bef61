package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/containerd/v2/core/containers"
	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/cgroup"
	"github.com/compose-first/compose/internal/logfile"
	"github.com/compose-first/compose/project"
)

// TestInsideAContainer shows what a process in a container sees of what its
// service says.
func TestInsideAContainer(t *testing.T) {
	yes := true
	for _, tt := range []struct {
		name, script string
		change       func(*CreateConfig)
		want         string
	}{
		{"capabilities and seccomp by default", `grep -E '^(CapEff|CapBnd|Seccomp|NoNewPrivs):' /proc/1/status`, nil,
			"CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2"},
		{"masked and read-only paths", `for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel/profiling; do (echo x >$f) 2>/dev/null || echo refused; done; ls /sys/firmware`, nil, "refused\nrefused\nrefused"},
		{"the image's environment and folder", `echo $FROM_IMAGE; pwd`, nil, "yes\n/tmp"},
		{"root has its groups", `id`, nil, "uid=0(root) gid=0(root) groups=0(root),10(wheel)"},
		{"a user by name", `id`, func(c *CreateConfig) { c.Service.User = "web"; c.Service.GroupAdd = []string{"staff", "77"} },
			"uid=1000(web) gid=1001(web) groups=10(wheel),50(staff),77,1001(web)"},
		{"a user without capabilities", `grep CapEff /proc/1/status`, func(c *CreateConfig) { c.Service.User = "5:5" }, "CapEff:\t0000000000000000"},
		{"host name and files", `cat /proc/sys/kernel/hostname /etc/hostname; grep -c web /etc/hosts; grep -c nameserver /etc/resolv.conf`,
			func(c *CreateConfig) { c.Record.Hostname = "web"; c.Record.DNS.Servers = []string{"1.2.3.4"} }, "web\nweb\n1\n1"},
		{"/dev/shm", `grep ' /dev/shm ' /proc/mounts`, nil, "shm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=65536k 0 0"},
		{"read-only root", `touch /x 2>&1; touch /dev/shm/x && echo fine`, func(c *CreateConfig) { c.Service.ReadOnly = true }, "touch: /x: Read-only file system\nfine"},
		{"a bind mount", `cat /data/file; touch /data/x 2>&1`, func(c *CreateConfig) {
			dir := t.TempDir()
			_ = os.WriteFile(filepath.Join(dir, "file"), []byte("bound\n"), 0o600)
			c.Mounts = []Mount{{Type: "bind", Source: dir, Target: "/data", Options: []string{"rbind", "ro"}}}
		}, "bound\ntouch: /data/x: Read-only file system"},
		{"no network but lo", `ls /sys/class/net`, nil, "lo"},
		{"init reaps and is the first", `sleep 0 & cat /proc/1/comm; test $$ -ne 1 && echo child`, func(c *CreateConfig) { c.Service.Init = &yes }, "docker-init\nchild"},
		{"sysctl", `cat /proc/sys/kernel/shmmax`, func(c *CreateConfig) { c.Service.Sysctls = types.Mapping{"kernel.shmmax": "123456"} }, "123456"},
		{"ulimit", `ulimit -n; ulimit -Hn`, func(c *CreateConfig) {
			c.Service.Ulimits = map[string]*types.UlimitsConfig{"nofile": {Soft: 100, Hard: 200}}
		}, "100\n200"},
		{"device", `stat -c %t:%T /dev/mine; (cat /dev/mine) 2>/dev/null || echo refused`, func(c *CreateConfig) {
			c.Service.Devices = []types.DeviceMapping{{Source: "/dev/loop-control", Target: "/dev/mine", Permissions: "m"}}
		}, "a:ed\nrefused"},
		{"a device that is not given cannot be opened", `mknod /tmp/kmsg c 1 11 && head -c1 /tmp/kmsg 2>&1`, nil, "head: /tmp/kmsg: Operation not permitted"},
		{"device_cgroup_rules", `mknod /tmp/z c 1 5 && head -c1 /tmp/z >/dev/null && echo opened`, func(c *CreateConfig) {
			c.Service.DeviceCgroupRules = []string{"c 1:* rwm"}
		}, "opened"},
		{"privileged", `grep -E '^Seccomp:' /proc/1/status; echo privileged >/proc/sys/kernel/hostname && echo rw; mount -t tmpfs x /tmp && echo mounted; test -c /dev/kmsg && echo kmsg`,
			func(c *CreateConfig) { c.Service.Privileged = true }, "Seccomp:\t0\nrw\nmounted\nkmsg"},
		{"no-new-privileges and unconfined", `grep -E '^(Seccomp|NoNewPrivs):' /proc/1/status`, func(c *CreateConfig) {
			c.Service.SecurityOpt = []string{"no-new-privileges:true", "seccomp=unconfined"}
		}, "NoNewPrivs:\t1\nSeccomp:\t0"},
		{"a terminal's size", `stty size`, func(c *CreateConfig) { c.Record.TTY, c.Size = true, Size{Width: 91, Height: 17} }, "17 91\r"},
		{"a terminal", `test -t 0 && echo tty; echo $TERM`, func(c *CreateConfig) { c.Record.TTY = true }, "tty\r\nxterm\r"},
		{"no input", `cat; echo end`, nil, "end"},
		{"the host's pids", `cat /proc/1/comm >/dev/null; test $$ -gt 1 && echo many`, func(c *CreateConfig) { c.Record.PIDMode = "host" }, "many"},
		{"oom_score_adj", `cat /proc/1/oom_score_adj`, func(c *CreateConfig) { c.Service.OomScoreAdj = 55 }, "55"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.change == nil {
				tt.change = func(*CreateConfig) {}
			}
			out, _ := run(t, shell(tt.script), tt.change)
			if got := strings.TrimRight(out, "\n"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// cgroupValue reads a limit of a container on the host, by the names of both versions.
func cgroupValue(t *testing.T, id, controller, v1, v2 string) string {
	t.Helper()
	group := shared.cgroup(id)
	for _, path := range []string{filepath.Join(cgroup.Root, group, v2), filepath.Join(cgroup.Root, controller, group, v1)} {
		if data, err := os.ReadFile(path); err == nil {
			return strings.TrimSpace(string(data))
		}
	}
	t.Fatalf("neither %s nor %s in a cgroup of %s", v1, v2, id)
	return ""
}

func TestCgroupLimits(t *testing.T) {
	c := create(t, shell("sleep 100"), func(c *CreateConfig) {
		c.Service.MemLimit, c.Service.CPUS, c.Service.PidsLimit = 64<<20, 0.5, 9
	})
	standIn(t, c.id)
	c.start()
	if got := cgroupValue(t, c.id, "memory", "memory.limit_in_bytes", "memory.max"); got != fmt.Sprint(64<<20) {
		t.Errorf("memory %s", got)
	}
	if got := cgroupValue(t, c.id, "pids", "pids.max", "pids.max"); got != "9" {
		t.Errorf("pids %s", got)
	}
	if got := cgroupValue(t, c.id, "cpu", "cpu.cfs_quota_us", "cpu.max"); got != "50000" && got != "50000 100000" {
		t.Errorf("cpu %s", got)
	}
}

func TestOutOfMemory(t *testing.T) {
	c := create(t, shell("dd if=/dev/zero of=/dev/shm/x bs=1M count=50; cat /dev/zero | tail"), func(c *CreateConfig) {
		c.Service.MemLimit, c.Service.MemSwapLimit = 8<<20, 8<<20
	})
	standIn(t, c.id)
	c.start()
	if _, err := shared.Wait(t.Context(), c.id); err != nil {
		t.Fatal(err)
	}
	if got, err := shared.Settle(t.Context(), c.id); err != nil || !got.OOMKilled {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSharedNamespaces(t *testing.T) {
	other := create(t, shell("echo kept >/dev/shm/note; sleep 100"))
	standIn(t, other.id)
	join := func(c *CreateConfig) {
		c.Record.PIDMode, c.Record.IPCMode = containerPrefix+other.id, containerPrefix+other.id
	}
	mine := create(t, shell("until cat /dev/shm/note 2>/dev/null; do sleep 0.02; done; cat /proc/1/comm; ls -l /proc/self/ns/ipc"), join)
	if err := shared.Start(t.Context(), mine.id); !errors.Is(err, ErrConflict) {
		t.Fatalf("joined one that does not run: %v", err)
	}
	for range 2 { // the second time the other has new processes
		other.start()
		l := standIn(t, mine.id)
		mine.start()
		out := lines(l.text())
		ipc, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/ipc", inspect(t, other.id).PID))
		if err != nil {
			t.Fatal(err)
		}
		if out[0] != "kept" || out[1] != "sh" && out[1] != "sleep" || !strings.HasSuffix(out[2], ipc) {
			t.Errorf("%q, want the ipc namespace %s", out, ipc)
		}
		if _, err := os.Stat(shared.cfg.Root.SharedMemory(mine.id)); !os.IsNotExist(err) {
			t.Error("the borrowed memory is still mounted on the host")
		}
		if err := shared.Stop(t.Context(), mine.id, "SIGKILL", 0); err != nil {
			t.Fatal(err)
		}
		if err := shared.Stop(t.Context(), other.id, "SIGKILL", 0); err != nil {
			t.Fatal(err)
		}
		standIn(t, other.id)
	}
	other.start() // the stand-in that waits has its run
}

func TestExec(t *testing.T) {
	c := create(t, shell("trap 'exit 0' TERM; while :; do sleep 0.05; done"), func(c *CreateConfig) {
		c.Service.Environment = types.MappingWithEquals{"A": new(string)}
	})
	standIn(t, c.id)
	c.start()
	for _, tt := range []struct {
		name string
		cfg  ExecConfig
		code int
		out  string
	}{
		{"output and code", ExecConfig{Args: shell("echo out; echo err >&2; exit 4")}, 4, "out\n|err\n"},
		{"input", ExecConfig{Args: []string{"cat"}, Stdin: strings.NewReader("given")}, 0, "given|"},
		{"no input", ExecConfig{Args: []string{"cat"}}, 0, "|"},
		{"environment, folder and user", ExecConfig{Args: shell("echo $A $FROM_IMAGE $PWD; id -u"), Env: []string{"A=b"}, WorkingDir: "/bin", User: "web"}, 0, "b yes /bin\n1000\n|"},
		{"terminal of a size", ExecConfig{Args: shell("stty size"), TTY: true, Size: Size{Width: 91, Height: 17}, Stdin: eternal{}}, 0, "17 91\r\n|"},
		{"terminal", ExecConfig{Args: shell("test -t 1 && echo tty"), TTY: true, Stdin: eternal{}}, 0, "tty\r\n|"},
		{"privileged", ExecConfig{Args: shell("grep -c CapEff:.*a80425fb /proc/self/status"), Privileged: true}, 1, "0\n|"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			tt.cfg.Stdout, tt.cfg.Stderr = &stdout, &stderr
			code, err := shared.Exec(t.Context(), c.id, tt.cfg)
			if got := stdout.String() + "|" + stderr.String(); err != nil || code != tt.code || got != tt.out {
				t.Errorf("code %d, output %q, %v; want %d, %q", code, got, err, tt.code, tt.out)
			}
		})
	}
	if _, err := shared.Exec(t.Context(), c.id, ExecConfig{Args: []string{"nope"}}); !errors.Is(err, ErrCommandNotFound) {
		t.Errorf("no such command: %v", err)
	}
	if _, err := shared.Exec(t.Context(), c.id, ExecConfig{Args: []string{"/etc/plain"}}); !errors.Is(err, ErrNotExecutable) {
		t.Errorf("no program: %v", err)
	}
	if _, err := shared.Exec(t.Context(), c.id, ExecConfig{Args: []string{"true"}, User: "nobody"}); err == nil || !strings.Contains(err.Error(), `user "nobody"`) {
		t.Errorf("no such user: %v", err)
	}
	if _, err := shared.Exec(t.Context(), NewID(), ExecConfig{Args: []string{"true"}}); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such container: %v", err)
	}
	if err := shared.Stop(t.Context(), c.id, "", 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := shared.Exec(t.Context(), c.id, ExecConfig{Args: []string{"true"}}); !errors.Is(err, ErrConflict) {
		t.Errorf("in one that does not run: %v", err)
	}
	if entries, _ := os.ReadDir(shared.cfg.Root.ExecDir()); len(entries) > 0 {
		t.Errorf("%d folders of pipes are left", len(entries))
	}
}

// eternal is an input that says nothing and never ends.
type eternal struct{}

func (eternal) Read([]byte) (int, error) { select {} }

func TestExecSizeAndEndOfContext(t *testing.T) {
	c := create(t, shell("sleep 100"))
	standIn(t, c.id)
	c.start()
	sizes := make(chan Size, 1)
	sizes <- Size{Width: 91, Height: 17}
	var out bytes.Buffer
	if _, err := shared.Exec(t.Context(), c.id, ExecConfig{
		Args: shell(`until stty size 2>/dev/null | grep '17 91'; do sleep 0.02; done`), TTY: true, Stdin: eternal{}, Stdout: &out, Resize: sizes,
	}); err != nil || out.String() != "17 91\r\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := shared.Exec(ctx, c.id, ExecConfig{Args: shell("echo; exec sleep 50"), Stdout: onWrite(cancel)})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("an exec whose context ended: %v", err)
	}
	out.Reset()
	if _, err := shared.Exec(t.Context(), c.id, ExecConfig{Args: shell(`ps | grep -c 'sleep 5[0]'`), Stdout: &out}); err != nil || out.String() != "0\n" {
		t.Errorf("the process lives on: %q, %v", out.String(), err)
	}
	code, err := shared.Exec(t.Context(), c.id, ExecConfig{Args: shell("touch /tmp/detached"), Detach: true})
	if code != 0 || err != nil {
		t.Errorf("detached: %d, %v", code, err)
	}
	eventually(t, "the detached process did its work", func() bool {
		code, err := shared.Exec(t.Context(), c.id, ExecConfig{Args: []string{"test", "-e", "/tmp/detached"}})
		return err == nil && code == 0
	})
}

// onWrite is called when something is written to it.
type onWrite func()

func (f onWrite) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

func TestAttach(t *testing.T) {
	c := create(t, shell(`while read line; do echo "got $line"; done; echo bye >&2; printf tail`), func(c *CreateConfig) { c.Record.Stdin = true })
	standIn(t, c.id)
	c.start()
	var stdout, stderr bytes.Buffer
	err := shared.Attach(t.Context(), c.id, AttachConfig{
		Stdin: strings.NewReader("one\ntwo\n"), CloseStdin: true, Stdout: &stdout, Stderr: &stderr,
	})
	if err != nil || stdout.String() != "got one\ngot two\ntail" || stderr.String() != "bye\n" {
		t.Errorf("%q, %q, %v", stdout.String(), stderr.String(), err)
	}
	var got []string
	err = shared.Logs(t.Context(), c.id, LogOptions{Tail: -1, Follow: true}, func(e logfile.Entry) error {
		got = append(got, e.Stream+":"+string(e.Text))
		return nil
	})
	if err != nil || len(got) != 4 {
		t.Errorf("%q, %v", got, err)
	}
}

func TestInputStaysOpenBetweenAttachments(t *testing.T) {
	c := create(t, []string{"cat"}, func(c *CreateConfig) { c.Record.Stdin = true })
	l := standIn(t, c.id)
	c.start()
	for i, text := range []string{"one\n", "two\n"} {
		ctx, cancel := contextOf(t, time.Minute)
		r, w := io.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- shared.Attach(ctx, c.id, AttachConfig{Stdin: r}) }()
		_, _ = io.WriteString(w, text)
		w.Close()
		eventually(t, "the text is echoed", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return strings.Count(l.out.String(), "\n") == i+1
		})
		cancel()
		<-ended
	}
	if got := inspect(t, c.id).State; got != StateRunning {
		t.Errorf("state %s", got)
	}
}

// TestStartDoesNotWaitForTheLogger starts a container with nobody at its pipes:
// what it writes is there when somebody comes.
func TestStartDoesNotWaitForTheLogger(t *testing.T) {
	c := create(t, shell("echo early; sleep 100"))
	began := time.Now()
	c.start()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("start took %s", took)
	}
	fd, err := unix.Open(filepath.Join(shared.cfg.Root.Streams(c.id), stdoutPipe), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "stdout")
	defer f.Close()
	got := make([]byte, len("early\n"))
	if _, err := io.ReadFull(f, got); err != nil || string(got) != "early\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestManyStartTogetherInOneShim(t *testing.T) {
	const n = 12
	var ids [n]string
	for i := range ids {
		ids[i] = create(t, shell("sleep 100"), func(c *CreateConfig) { c.ShimGroup = "together" }).id
	}
	for range 2 { // the second time the shim of the first is just gone
		var all sync.WaitGroup
		for _, id := range ids {
			all.Go(func() {
				if err := shared.Start(t.Context(), id); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, id := range ids {
			all.Go(func() {
				if err := shared.Stop(t.Context(), id, "SIGKILL", 0); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
}

// What somebody garbles of a container's record is read from its spec, and
// mended from there.
func TestGarbledRecord(t *testing.T) {
	c := create(t, shell("true"))
	before := inspect(t, c.id)
	for name, garble := range map[string]func(*containers.Container) []string{
		"truncated": func(r *containers.Container) []string {
			whole := r.Extensions[project.RecordExtension].GetValue()
			r.Extensions[project.RecordExtension] = encoded(recordType, whole[:len(whole)/2])
			return []string{"extensions." + project.RecordExtension}
		},
		"empty": func(r *containers.Container) []string {
			r.Extensions[project.RecordExtension] = encoded(recordType, nil)
			return []string{"extensions." + project.RecordExtension}
		},
		"labels": func(r *containers.Container) []string {
			r.Labels = map[string]string{project.LabelProject: "tes", project.LabelStartedAt: "never"}
			return []string{"labels"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := shared.containers.Get(t.Context(), c.id)
			if err != nil {
				t.Fatal(err)
			}
			paths := garble(&r)
			if r, err = shared.containers.Update(t.Context(), r, paths...); err != nil {
				t.Fatal(err)
			}
			if got := describe(r, nil); got.RecordError != nil || !reflect.DeepEqual(got.Record, before.Record) {
				t.Errorf("garbled, it is %+v, %v", got.Record, got.RecordError)
			}
			m, err := shared.Mend(t.Context(), c.id)
			if err != nil || m.Name != before.Name || len(m.What) == 0 {
				t.Errorf("mended %+v, %v", m, err)
			}
			if r, err = shared.containers.Get(t.Context(), c.id); err != nil || r.Labels[project.LabelName] != before.Name {
				t.Errorf("%+v, %v", r.Labels, err)
			}
			r.Spec = nil // without its copy
			if got := describe(r, nil); got.RecordError != nil || !reflect.DeepEqual(got.Record, before.Record) {
				t.Errorf("mended, it is %+v, %v", got.Record, got.RecordError)
			}
			if m, err := shared.Mend(t.Context(), c.id); err != nil || len(m.What) > 0 {
				t.Errorf("mended again: %+v, %v", m, err)
			}
		})
	}
	r, err := shared.containers.Get(t.Context(), c.id)
	if err != nil {
		t.Fatal(err)
	}
	r.Extensions, r.Spec = nil, nil
	got := describe(r, nil)
	if got.RecordError == nil || got.Record.Project != "test" || got.Record.Service != "one" {
		t.Errorf("%+v", got)
	}
}
