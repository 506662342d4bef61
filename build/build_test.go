package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestOutput builds Dockerfiles whose last step prints what the row is about.
func TestOutput(t *testing.T) {
	value := "from the file"
	for _, tt := range []struct {
		name       string
		dockerfile string
		files      []string
		change     func(*Request)
		want       string // regular expression
	}{
		{name: "a base image that is in containerd alone is found, and RUN runs",
			dockerfile: "FROM busybox\nRUN echo ran as $(id -u)", want: `ran as 0`},
		{name: "a stable syntax line needs no pull",
			dockerfile: "# syntax=docker/dockerfile:1.7\nFROM busybox\nRUN <<EOF\necho here\nEOF\n", want: `here`},
		{name: "files of the context are copied, but those that .dockerignore names",
			dockerfile: "FROM busybox\nCOPY . /c\nRUN ls -A /c",
			files:      []string{"kept", "x", "left.log", "x", ".dockerignore", "*.log\nDockerfile\n"}, want: `^\.dockerignore\nkept\n$`},
		{name: "the ignore file of a Dockerfile goes before the context's",
			dockerfile: "FROM scratch", files: []string{"a", "x", "b", "x", ".dockerignore", "a",
				"other", "FROM busybox\nCOPY . /c\nRUN ls /c", "other.dockerignore", "b\nother*\nDockerfile"},
			change: func(r *Request) { r.Config.Dockerfile = "other" }, want: `^a\n$`},
		{name: "args: command line, then file, then environment for a bare name; one unset is not passed",
			dockerfile: "FROM busybox\nARG A=d\nARG B=d\nARG C=d\nARG D=d\nRUN echo $A,$B,$C,$D",
			change: func(r *Request) {
				r.Config.Args = types.MappingWithEquals{"A": &value, "B": &value, "C": nil, "D": nil}
				r.Args = map[string]string{"A": "from the command line"}
				r.Environment = map[string]string{"C": "from the environment"}
			}, want: `from the command line,from the file,from the environment,d`},
		{name: "proxy settings are there without an ARG, and never win over args",
			dockerfile: "FROM busybox\nRUN echo $http_proxy,$NO_PROXY",
			change: func(r *Request) {
				r.Environment = map[string]string{"http_proxy": "http://p:1", "NO_PROXY": "env"}
				r.Config.Args = types.MappingWithEquals{"NO_PROXY": &value}
			}, want: `http://p:1,from the file`},
		{name: "the target stage and no later one is built",
			dockerfile: "FROM busybox AS one\nRUN echo one\nFROM one\nRUN echo two",
			change:     func(r *Request) { r.Config.Target = "one" }, want: `^one\n$`},
		{name: "extra hosts",
			dockerfile: "FROM busybox\nRUN cat /etc/hosts",
			change: func(r *Request) {
				r.Config.ExtraHosts = types.HostsList{"db": {"10.1.2.3"}, "gw": {"host-gateway"}, "six": {"::7"}}
			}, want: `(?s)10\.1\.2\.3\s+db.*127\.0\.0\.1\s+gw.*::7\s+six`},
		{name: "shm_size", dockerfile: "FROM busybox\nRUN grep /dev/shm /proc/mounts",
			change: func(r *Request) { r.Config.ShmSize = 8 << 20 }, want: `size=8192k`},
		{name: "ulimits", dockerfile: "FROM busybox\nRUN ulimit -n; ulimit -Hn; ulimit -u",
			change: func(r *Request) {
				r.Config.Ulimits = map[string]*types.UlimitsConfig{"nofile": {Soft: 100, Hard: 200}, "nproc": {Single: 300}}
			}, want: `100\n200\n300`},
		{name: "network none has loopback alone", dockerfile: "FROM busybox\nRUN ls /sys/class/net; cat /proc/net/dev | grep -c :",
			change: func(r *Request) { r.Config.Network = "none" }, want: `1\n$`},
		{name: "network host, which it is entitled to", dockerfile: "FROM busybox\nRUN cat /proc/net/dev | grep -c :",
			change: func(r *Request) { r.Config.Network = "host" }, want: `\d`},
		{name: "an entitlement of RUN", dockerfile: "FROM busybox\nRUN --security=insecure grep CapEff /proc/self/status",
			change: func(r *Request) { r.Config.Entitlements = []string{"security.insecure"} }, want: `CapEff:\s+0+[1-9a-f]`},
		{name: "secrets from a file and from the environment",
			dockerfile: "FROM busybox\nRUN --mount=type=secret,id=f cat /run/secrets/f\nRUN --mount=type=secret,id=e cat /run/secrets/e",
			files:      []string{"secret", "of a file\n"},
			change: func(r *Request) {
				r.Secrets = []Secret{{ID: "f", File: filepath.Join(r.ProjectDir, "secret")}, {ID: "e", Content: []byte("of the environment\n")}}
			}, want: `(?s)(of a file.*of the environment|of the environment.*of a file)`},
		{name: "a folder and an image as additional contexts",
			dockerfile: "FROM base\nCOPY --from=more f /f\nRUN cat /f", files: []string{"sub/f", "of the folder\n"},
			change: func(r *Request) {
				r.Config.AdditionalContexts = types.Mapping{"more": "sub", "base": "docker-image://busybox"}
			}, want: `of the folder`},
		{name: "a Dockerfile that is written in the file itself",
			dockerfile: "FROM scratch",
			change: func(r *Request) {
				r.Config.DockerfileInline = "FROM busybox\nCOPY Dockerfile /f\nRUN echo inline; cat /f"
			},
			want: `inline\nFROM scratch`},
		{name: "a Dockerfile outside of the context",
			dockerfile: "FROM scratch", files: []string{"ctx/f", "in ctx\n", "files/D", "FROM busybox\nCOPY f /f\nRUN cat /f"},
			change: func(r *Request) { r.Config.Context, r.Config.Dockerfile = "ctx", "../files/D" }, want: `in ctx`},
		{name: "a link inside of the context is followed there, an absolute one too",
			dockerfile: "FROM busybox\nCOPY in/f to/f up/f /c/\nCOPY in /d\nRUN cat /c/f; ls /d",
			files:      []string{"real/f", "of real\n", "in", "-> real", "to", "-> /real", "up", "-> x/../../../real"}, want: `of real\nf\n`},
		{name: "links of the context stay links, and lead nowhere",
			dockerfile: "FROM busybox\nCOPY . /c\nRUN readlink /c/l; readlink /c/d; test ! -e /c/l && test ! -e /c/d/hostname; echo status $?",
			files:      []string{"l", "-> /etc/hostname-of-nobody", "d", "-> ../../../../../../etc"}, want: `/etc/hostname-of-nobody\n.*/etc\nstatus [01]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := request(t, contents(t, append([]string{"Dockerfile", tt.dockerfile}, tt.files...)...))
			r.Image = "output"
			r.Config.NoCache = true
			if tt.change != nil {
				tt.change(&r)
			}
			_, events := built(t, r)
			if got := output(events); !regexp.MustCompile(tt.want).MatchString(got) {
				t.Errorf("steps wrote %q, want %s\n%s", got, tt.want, lines(events))
			}
		})
	}
}

// TestImage looks at what is in containerd's store after a build.
func TestImage(t *testing.T) {
	r := request(t, contents(t, "Dockerfile", "FROM scratch\nCOPY f /f\nLABEL own=1 both=image\nENV A=b", "f", "x"))
	r.Config.Labels = types.Labels{"user": "u", "both": "file"}
	r.Labels = map[string]string{"com.docker.compose.service": "web"}
	r.Config.Tags = []string{"registry.example.com:5000/team/app:1.2"}
	r.Tags = []string{"second"}
	digest, _ := built(t, r)
	for _, name := range []string{"docker.io/library/testimage:latest", "registry.example.com:5000/team/app:1.2", "docker.io/library/second:latest"} {
		target, config := stored(t, name)
		if target != digest {
			t.Errorf("%s is %s, built was %s", name, target, digest)
		}
		got, _ := json.Marshal(config.Config.Labels)
		if want := `{"both":"file","com.docker.compose.service":"web","own":"1","user":"u"}`; string(got) != want {
			t.Errorf("labels of %s: %s, want %s", name, got, want)
		}
	}
}

// stored returns the digest and configuration of an image in the store, and
// checks that it is unpacked.
func stored(t *testing.T, name string) (string, ocispec.Image) {
	t.Helper()
	ctx := namespaces.WithNamespace(t.Context(), "compose")
	c, err := containerd.New(engine.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	image, err := c.GetImage(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := image.IsUnpacked(ctx, "overlayfs"); err != nil || !ok {
		t.Errorf("%s is not unpacked (%v)", name, err)
	}
	desc, err := image.Config(ctx)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := content.ReadBlob(ctx, c.ContentStore(), desc)
	if err != nil {
		t.Fatal(err)
	}
	var config ocispec.Image
	if err := json.Unmarshal(blob, &config); err != nil {
		t.Fatal(err)
	}
	return image.Target().Digest.String(), config
}

// rebuildLimit is how long a build may take when nothing has changed.
const rebuildLimit = 300 * time.Millisecond

// An unchanged build is the same image, and quickly so.
func TestUnchanged(t *testing.T) {
	for _, tt := range []struct{ name, dockerfile string }{
		{"a base and steps", "FROM busybox\nRUN echo x >/x\nCOPY f /f\nCMD [\"x\"]"},
		{"scratch", "FROM scratch\nCOPY f /f\nENTRYPOINT [\"/f\"]"},
		{"configuration alone", "FROM busybox\nENV A=b\nLABEL c=d"},
		{"nothing but a base", "FROM busybox"},
		{"several stages", "FROM busybox AS a\nRUN echo y >/y\nFROM scratch\nCOPY --from=a /y /y\nVOLUME /v\nUSER 7"},
		{"an empty folder", "FROM busybox\nWORKDIR /w\nRUN true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := contents(t, "Dockerfile", tt.dockerfile, "f", "x")
			for i := range 200 {
				write(t, filepath.Join(dir, fmt.Sprintf("src/%d/%d", i%20, i)), strings.Repeat("x", 1000))
			}
			r := request(t, dir)
			r.Image = "unchanged"
			first, _ := built(t, r)
			best := time.Hour
			for tries := 0; tries < 2 || tries < 10 && best > rebuildLimit; tries++ { // other tests run beside this one
				start := time.Now()
				again, events := built(t, r)
				best = min(best, time.Since(start))
				if again != first {
					t.Errorf("built %s, then %s\n%s", first, again, lines(events))
				}
			}
			t.Logf("again: %v", best)
			if best > rebuildLimit {
				t.Errorf("a build of what is there took %v, more than %v", best, rebuildLimit)
			}
			touched := time.Now().Add(time.Hour) // another time alone changes nothing
			if err := os.Chtimes(filepath.Join(dir, "f"), touched, touched); err != nil {
				t.Fatal(err)
			}
			if again, events := built(t, r); again != first {
				t.Errorf("built %s, then, after touching a file, %s\n%s", first, again, lines(events))
			}
		})
	}
}

func TestNoCacheRunsAgain(t *testing.T) {
	r := request(t, contents(t, "Dockerfile", "FROM busybox AS a\nRUN echo one\nFROM a AS b\nRUN echo two"))
	built(t, r)
	for _, tt := range []struct {
		name   string
		change func(*Request)
		want   string
	}{
		{"nothing runs again", func(*Request) {}, ""},
		{"all steps run again", func(r *Request) { r.NoCache = true }, "one\ntwo\n"},
		{"a stage runs again", func(r *Request) { r.Config.NoCacheFilter = []string{"b"} }, "two\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			again := r
			tt.change(&again)
			_, events := built(t, again)
			if got := output(events); got != tt.want {
				t.Errorf("steps wrote %q, want %q", got, tt.want)
			}
			if cached := strings.Contains(lines(events), "cached: "); cached == strings.Contains(tt.want, "one") {
				t.Errorf("cached steps: %v\n%s", cached, lines(events))
			}
		})
	}
}

func TestError(t *testing.T) {
	for _, tt := range []struct {
		name       string
		dockerfile string
		files      []string
		change     func(*Request)
		want       string // regular expression for the whole message
		line       int
		exit       int
	}{
		{name: "a step that exits", dockerfile: "FROM busybox\nRUN echo before\nRUN echo doing \\\n  it; echo oops >&2; exit 7",
			line: 3, exit: 7, want: `^build of service "web" failed: Dockerfile:3: RUN echo doing it; echo oops >&2; exit 7: exit code: 7(\n  \| (doing it|oops)){2}$`},
		{name: "a program that is not there", dockerfile: "FROM busybox\nRUN [\"/nothing\"]",
			line: 2, want: `^build of service "web" failed: Dockerfile:2: RUN \["/nothing"\]: .*(no such file|not found|exit code: 127)`},
		{name: "a file that is not in the context", dockerfile: "FROM busybox\nCOPY missing /", line: 2,
			want: `^build of service "web" failed: Dockerfile:2: COPY missing /: .*"/missing".*not found`},
		{name: "a file that a link outside of the context leads to", dockerfile: "FROM busybox\nCOPY out/hostname /", line: 2,
			files: []string{"out", "-> /etc"}, want: `Dockerfile:2: COPY out/hostname /: .*not found`},
		{name: "an instruction that is none", dockerfile: "FROM busybox\nRUM x", line: 2,
			want: `^build of service "web" failed: Dockerfile:2: RUM x: unknown instruction: RUM`},
		{name: "an empty Dockerfile", dockerfile: "", want: `^build of service "web" failed: .*empty`},
		{name: "a stage that is not there", dockerfile: "FROM busybox", change: func(r *Request) { r.Config.Target = "x" },
			want: `target stage "x" could not be found`},
		{name: "a base that is nowhere", dockerfile: "FROM 127.0.0.1:1/nobody/has:this", line: 1,
			want: `^build of service "web" failed: Dockerfile:1: FROM 127.0.0.1:1/nobody/has:this: .*refused`},
		{name: "a pull asks the registry", dockerfile: "FROM 127.0.0.1:1/library/busybox", change: func(r *Request) { r.Pull = true },
			want: `refused`, line: 1},
		{name: "a secret that is not given", dockerfile: "FROM busybox\nRUN --mount=type=secret,id=s,required=true true", line: 2,
			want: `Dockerfile:2: .*secret s: not found`},
		{name: "an entitlement that is not given", dockerfile: "FROM busybox\nRUN --security=insecure true",
			want: `security.insecure is not allowed`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request(t, contents(t, append([]string{"Dockerfile", tt.dockerfile}, tt.files...)...))
			if tt.change != nil {
				tt.change(&r)
			}
			_, _, err := try(t, r)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if !regexp.MustCompile(tt.want).MatchString(err.Error()) || e.Line != tt.line || e.ExitCode != tt.exit {
				t.Errorf("got line %d, exit %d:\n%v\nwant line %d, exit %d: %s", e.Line, e.ExitCode, err, tt.line, tt.exit, tt.want)
			}
		})
	}
}

// Services that share a stage run it once, and one that builds on another's
// image waits for it.
func TestTogether(t *testing.T) {
	dir := contents(t,
		"shared", "FROM busybox AS common\nRUN cat /proc/sys/kernel/random/uuid >/id\nFROM common AS a\nRUN cat /id\nFROM common AS b\nRUN cat /id; true",
		"top", "FROM base\nRUN cat /id; echo on top")
	make := func(service, dockerfile, target string) Request {
		r := request(t, dir)
		r.Service, r.Image, r.Config.Dockerfile, r.Config.Target, r.Config.NoCache = service, "together-"+service, dockerfile, target, false
		return r
	}
	top := make("top", "top", "")
	top.Config.AdditionalContexts = types.Mapping{"base": "service:a"}
	top.Images = map[string]string{"a": "together-a"}
	var events []Event
	digests, err := engine.builder.Build(t.Context(), []Request{top, make("a", "shared", "a"), make("b", "shared", "b")},
		Options{Progress: func(e Event) { events = append(events, e) }, DockerConfigDir: t.TempDir()})
	if err != nil {
		t.Fatalf("%v\n%s", err, lines(events))
	}
	if len(digests) != 3 || digests["a"] == digests["b"] || digests["a"] == "" {
		t.Errorf("digests: %v", digests)
	}
	ids := map[string]bool{}
	for _, id := range regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).FindAllString(output(events), -1) {
		ids[id] = true
	}
	if len(ids) != 1 || !strings.Contains(output(events), "on top") {
		t.Errorf("the shared step ran as %v\n%s", ids, lines(events))
	}
}

func TestFirstFailureEndsTheOthers(t *testing.T) {
	bad := request(t, contents(t, "Dockerfile", "FROM busybox\nRUN exit 3"))
	slow := request(t, contents(t, "Dockerfile", "FROM busybox\nRUN sleep 60"))
	bad.Service, bad.Image, slow.Service, slow.Image = "bad", "bad", "slow", "slow"
	start := time.Now()
	_, err := engine.builder.Build(t.Context(), []Request{slow, bad}, Options{DockerConfigDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), `service "bad" failed`) || time.Since(start) > 20*time.Second {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
}

func TestCancel(t *testing.T) {
	r := request(t, contents(t, "Dockerfile", "FROM busybox\nRUN echo begun; sleep 60"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := engine.builder.Build(ctx, []Request{r}, Options{DockerConfigDir: t.TempDir(), Progress: func(e Event) {
		if e.Line == "begun" {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// A cache that was written serves a builder that has none.
func TestCaches(t *testing.T) {
	dir := contents(t, "Dockerfile", "FROM busybox\nRUN echo worked")
	r := request(t, dir)
	r.Config.CacheTo = []string{"type=local,dest=cache", "type=unheard"}
	_, events := built(t, r)
	if !strings.Contains(lines(events), `type "unheard" is not supported`) {
		t.Errorf("no warning of an unknown type:\n%s", lines(events))
	}
	if _, err := os.Stat(filepath.Join(dir, "cache", "index.json")); err != nil {
		t.Fatal(err)
	}
	if err := engine.builder.client.Prune(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r.Config.CacheTo, r.Config.CacheFrom = nil, []string{"type=local,src=cache", "127.0.0.1:1/no/cache"}
	_, events = built(t, r)
	if got := output(events); strings.Contains(got, "worked") {
		t.Errorf("the step ran again in spite of the cache:\n%s", lines(events))
	}
}

// The fault of a daemon that dies is the daemon's.
func TestDaemonDies(t *testing.T) {
	r := request(t, contents(t, "Dockerfile", "FROM busybox\nRUN echo begun; sleep 60"))
	pid, err := os.ReadFile(engine.bundle.Root.Pid("buildkitd"))
	if err != nil {
		t.Fatal(err)
	}
	var id int
	if _, err := fmt.Sscan(string(bytes.TrimSpace(pid)), &id); err != nil {
		t.Fatal(err)
	}
	daemon, err := os.FindProcess(id)
	if err != nil {
		t.Fatal(err)
	}
	_, err = engine.builder.Build(t.Context(), []Request{r}, Options{DockerConfigDir: t.TempDir(), Progress: func(e Event) {
		if e.Line == "begun" {
			_ = daemon.Kill()
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "buildkitd at unix://") {
		t.Errorf("got %v", err)
	}
	for end := time.Now().Add(10 * time.Second); ; { // a killed process ends in its own time
		conn, err := net.Dial("unix", engine.bundle.Root.BuildkitSocket())
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(end) {
			t.Fatal("the daemon lives on")
		}
	}
	address, err := engine.bundle.EnsureBuildkit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	engine.builder.Close()
	if engine.builder, err = Connect(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	r.Config.DockerfileInline = "FROM busybox\nRUN echo again"
	if _, events := built(t, r); !strings.Contains(output(events), "again") {
		t.Errorf("steps wrote %q", output(events))
	}
}
