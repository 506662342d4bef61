package engine

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/compose-first/compose/internal/bundle"
	"github.com/compose-first/compose/internal/enginetest"
	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/logfile"
	"github.com/compose-first/compose/project"
)

// The tests share one private engine and one image.
var (
	shared *Client
	daemon *bundle.Bundle
)

// testImage is the name of the image of the tests: busybox, and a few users.
const testImage = "docker.io/library/enginetest:latest"

func TestMain(m *testing.M) {
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

func runTests(m *testing.M) (code int, retErr error) {
	dir, err := os.MkdirTemp("/tmp", "ce") // short: socket paths are limited
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	os.Setenv(layout.RootVariable, dir)
	if os.Getenv(bundle.LibexecVariable) == "" {
		libexec, err := filepath.Abs("../libexec/compose")
		if err != nil {
			return 1, err
		}
		os.Setenv(bundle.LibexecVariable, libexec)
	}
	root, err := layout.FromEnvironment()
	if err != nil {
		return 1, err
	}
	if daemon, err = bundle.Find(root, ""); err != nil {
		return 1, err
	}
	ctx := context.Background()
	address, err := daemon.EnsureContainerd(ctx)
	if err != nil {
		return 1, err
	}
	defer func() {
		if err := daemon.Stop(ctx); retErr == nil {
			retErr = err
		}
	}()
	shared, err = Connect(ctx, Config{Address: address, Root: root, RuncPath: filepath.Join(daemon.Dir, "runc")})
	if err != nil {
		return 1, err
	}
	defer shared.Close()
	if _, err := shared.Load(ctx, bytes.NewReader(imageArchive(testImage))); err != nil {
		return 1, err
	}
	code = m.Run()
	return code, removeAll(ctx)
}

// removeAll removes what a test that failed has left, so that nothing outlives
// the engine, and says so.
func removeAll(ctx context.Context) error {
	if _, err := daemon.EnsureContainerd(ctx); err != nil {
		return err
	}
	left, err := shared.Observe(ctx, "")
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range left {
		errs = append(errs, fmt.Errorf("container %s was left", c.Name), shared.Remove(ctx, c.ID))
	}
	return errors.Join(errs...)
}

// imageArchive is a docker-save archive with the host's static busybox.
func imageArchive(name string) []byte {
	busybox, err := os.ReadFile("/usr/bin/busybox")
	if err != nil {
		busybox, err = os.ReadFile("/bin/busybox")
	}
	if err != nil {
		log.Fatalf("the tests need the package busybox-static: %v", err)
	}
	files := []tarFile{
		{name: "bin/busybox", mode: 0o755, data: busybox},
		{name: "etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:web:/home/web:/bin/sh\n")},
		{name: "etc/group", mode: 0o644, data: []byte("root:x:0:\nwheel:x:10:root,web\nstaff:x:50:\nweb:x:1001:\n")},
		{name: "etc/plain", mode: 0o644, data: []byte("not a program\n")},
		{name: "tmp/", mode: 0o1777},
	}
	for _, applet := range []string{"sh", "sleep", "echo", "cat", "id", "ps", "touch", "env", "stty", "kill", "mount", "dd", "ls", "stat", "hostname", "true", "false", "test", "grep", "head", "ln", "seq", "tail", "mknod", "ping", "pwd", "sync", "date"} {
		files = append(files, tarFile{name: "bin/" + applet, link: "busybox"})
	}
	layer := makeTar(files)
	config, _ := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{
			"Env": []string{"PATH=/bin", "FROM_IMAGE=yes"}, "Cmd": []string{"sh"}, "WorkingDir": "/tmp",
			"Healthcheck": map[string]any{"Test": []string{"CMD", "true"}, "Interval": 5 * time.Second, "Retries": 2},
		},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hexSum(layer)}},
	})
	manifest, _ := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	return makeTar([]tarFile{
		{name: "config.json", mode: 0o644, data: config},
		{name: "layer.tar", mode: 0o644, data: layer},
		{name: "manifest.json", mode: 0o644, data: manifest},
	})
}

type tarFile struct {
	name, link string
	mode       int64
	data       []byte
}

func makeTar(files []tarFile) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), Typeflag: tar.TypeReg}
		switch {
		case f.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
		case strings.HasSuffix(f.name, "/"):
			h.Typeflag = tar.TypeDir
		}
		_ = w.WriteHeader(h)
		_, _ = w.Write(f.data)
	}
	_ = w.Close()
	return b.Bytes()
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// container is a container of a test, removed when it ends.
type container struct {
	t  testing.TB
	id string
}

// create makes a container that runs args with no network, as change has it.
func create(t testing.TB, args []string, change ...func(*CreateConfig)) container {
	t.Helper()
	ctx := t.Context()
	img, err := shared.ResolveImage(ctx, testImage, "")
	if err != nil {
		t.Fatal(err)
	}
	id := NewID()
	cfg := CreateConfig{
		ID: id, Name: "test-" + short(id), Image: img,
		Labels: map[string]string{project.LabelProject: "test", project.LabelService: "one", project.LabelImage: img.Digest},
		Record: project.Record{Project: "test", Service: "one", Number: 1, NetworkMode: "none", Log: project.Log{Driver: "json-file"}},
	}
	cfg.Service.Command = types.ShellCommand(args)
	for _, c := range change {
		c(&cfg)
	}
	if err := shared.Create(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	c := container{t, id}
	t.Cleanup(func() {
		if err := shared.Remove(context.Background(), id); err != nil && !errors.Is(err, ErrNotFound) {
			t.Errorf("clean up: %v", err)
		}
	})
	return c
}

// start starts the container, with a stand-in for the logger.
func (c container) start() {
	c.t.Helper()
	if err := shared.Start(c.t.Context(), c.id); err != nil {
		c.t.Fatal(err)
	}
}

// run starts a container, waits for its end and returns what it wrote, with
// its exit code.
func run(t testing.TB, args []string, change ...func(*CreateConfig)) (output string, code int) {
	t.Helper()
	c := create(t, args, change...)
	l := standIn(t, c.id)
	c.start()
	code, err := shared.Wait(t.Context(), c.id)
	if err != nil {
		t.Fatal(err)
	}
	return l.text(), code
}

// logger stands in for the logger process: it reads the pipes of one run of a
// container and writes its log.
type logger struct {
	t    testing.TB
	done chan struct{} // closed when all pipes have ended
	mu   sync.Mutex    // guards out
	out  bytes.Buffer
}

// standIn waits for the container's streams in the background.
func standIn(t testing.TB, id string) *logger {
	t.Helper()
	l := &logger{t: t, done: make(chan struct{})}
	dir := shared.cfg.Root.Streams(id)
	old, _ := os.Stat(filepath.Join(dir, streamsReady))
	go func() {
		defer close(l.done)
		for deadline := time.Now().Add(20 * time.Second); ; {
			now, err := os.Stat(filepath.Join(dir, streamsReady))
			if err == nil && (old == nil || !os.SameFile(old, now) || !old.ModTime().Equal(now.ModTime())) {
				break
			}
			if time.Now().After(deadline) {
				return
			}
			time.Sleep(time.Millisecond)
		}
		var pipes sync.WaitGroup
		for _, stream := range []string{stdoutPipe, stderrPipe} {
			f, err := os.OpenFile(filepath.Join(dir, stream), os.O_RDONLY, 0)
			if err != nil {
				continue
			}
			pipes.Go(func() {
				defer f.Close()
				l.copy(f, stream, shared.cfg.Root.ContainerLog(id))
			})
		}
		pipes.Wait()
		_ = os.WriteFile(filepath.Join(dir, logfile.DrainedFile), nil, 0o600)
	}()
	return l
}

func (l *logger) copy(f io.Reader, stream, path string) {
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			l.mu.Lock()
			l.out.Write(line)
			entry := logfile.Append(nil, logfile.Entry{
				Time: time.Now(), Stream: stream, Partial: err != nil, Text: bytes.TrimSuffix(line, []byte("\n")),
			})
			if w, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
				_, _ = w.Write(entry)
				w.Close()
			}
			l.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// text is all that the container wrote, once it has ended.
func (l *logger) text() string {
	l.t.Helper()
	select {
	case <-l.done:
	case <-time.After(20 * time.Second):
		l.t.Fatal("the container's streams never ended")
	}
	return l.out.String()
}

// eventually polls a condition for at most ten seconds.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("in ten seconds it never came to pass: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func inspect(t testing.TB, id string) Container {
	t.Helper()
	c, err := shared.Inspect(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shell is a command line for the shell of the image.
func shell(script string) []string { return []string{"sh", "-c", script} }

func lines(s string) []string { return slices.Collect(strings.SplitSeq(strings.TrimSpace(s), "\n")) }

func contextOf(t testing.TB, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}
