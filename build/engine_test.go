package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/bundle"
	"github.com/compose-first/compose/internal/layout"
)

// engine is the one private engine of this package's tests: buildkitd,
// containerd and, in their image store alone, busybox.
var engine struct {
	bundle  *bundle.Bundle
	builder *Builder
	socket  string // containerd's
}

func TestMain(m *testing.M) { os.Exit(withEngine(m)) }

func withEngine(m *testing.M) (code int) {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "private engine:", err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	repository, err := filepath.Abs("..")
	if err != nil {
		return fail(err)
	}
	dir, err := os.MkdirTemp("/tmp", "cb") // short: socket paths are limited
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	libexec := os.Getenv(bundle.LibexecVariable)
	if libexec == "" {
		libexec = filepath.Join(repository, "libexec", "compose")
	}
	engine.bundle = &bundle.Bundle{
		Root: layout.Root{State: filepath.Join(dir, "lib"), Run: filepath.Join(dir, "run")},
		Dir:  libexec,
	}
	address, err := engine.bundle.EnsureBuildkit(ctx)
	defer func() {
		if err := errors.Join(endSteps(), engine.bundle.Stop(context.Background()), unmountBelow(dir)); err != nil {
			code = fail(err)
		}
	}()
	if err != nil {
		return fail(err)
	}
	engine.socket = engine.bundle.Root.ContainerdSocket()
	archive := filepath.Join(repository, ".cache", "images", "busybox.tar")
	if out, err := ctr(ctx, "images", "import", archive); err != nil {
		return fail(fmt.Errorf("import %s (made by `make images`): %w\n%s", archive, err, out))
	}
	if engine.builder, err = Connect(ctx, address); err != nil {
		return fail(err)
	}
	defer func() { engine.builder.Close() }()
	return m.Run()
}

// endSteps ends the build steps of a daemon that was killed under them.
func endSteps() error {
	ctx := namespaces.WithNamespace(context.Background(), "compose")
	c, err := containerd.New(engine.bundle.Root.ContainerdSocket())
	if err != nil {
		return err
	}
	defer c.Close()
	steps, err := c.Containers(ctx)
	if err != nil {
		return err
	}
	for _, step := range steps {
		if task, err := step.Task(ctx, nil); err == nil {
			if _, err := task.Delete(ctx, containerd.WithProcessKill); err != nil {
				return err
			}
		}
		if err := step.Delete(ctx); err != nil {
			return err
		}
	}
	return nil
}

// unmountBelow unmounts what a daemon that was killed has left mounted.
func unmountBelow(dir string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	for _, m := range slices.Backward(mounts) {
		err = errors.Join(err, unix.Unmount(m.Mountpoint, 0))
	}
	return err
}

// ctr runs containerd's own client.
func ctr(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(engine.bundle.Dir, "ctr"),
		append([]string{"-a", engine.socket, "-n", "compose"}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// contents makes a folder with files: names and contents by turns. A name that
// ends with a slash is a folder, content "-> X" makes a link to X.
func contents(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		write(t, filepath.Join(dir, files[i]), files[i+1])
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if target, ok := strings.CutPrefix(content, "-> "); ok {
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// request is a request for a folder's image, named for the test.
func request(t *testing.T, dir string) Request {
	name := strings.NewReplacer("/", "-", "_", "-", "#", "-").Replace(strings.ToLower(t.Name()))
	r := Request{Service: "web", Image: name, ProjectDir: dir}
	r.Config.Context = "."
	return r
}

// built builds a request and returns its digest and its events.
func built(t *testing.T, r Request) (string, []Event) {
	t.Helper()
	digest, events, err := try(t, r)
	if err != nil {
		t.Fatalf("build: %v\n%s", err, lines(events))
	}
	return digest, events
}

func try(t *testing.T, r Request) (string, []Event, error) {
	t.Helper()
	var events []Event
	digests, err := engine.builder.Build(t.Context(), []Request{r}, Options{
		Progress: func(e Event) { events = append(events, e) }, DockerConfigDir: t.TempDir(),
	})
	return digests[r.Service].String(), events, err
}

// output joins what the steps wrote.
func output(events []Event) string {
	var b strings.Builder
	for _, e := range events {
		if e.State == Logged {
			b.WriteString(e.Line + "\n")
		}
	}
	return b.String()
}

func lines(events []Event) string {
	var b strings.Builder
	for _, e := range events {
		if e.State != Progressed {
			fmt.Fprintf(&b, "%s %s: %s %s\n", e.Service, e.State, e.Name, e.Line)
		}
	}
	return b.String()
}
