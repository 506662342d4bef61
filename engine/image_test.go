package engine

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestNormalizeImage(t *testing.T) {
	for ref, want := range map[string]string{
		"redis":                "docker.io/library/redis:latest",
		"redis:7":              "docker.io/library/redis:7",
		"me/app":               "docker.io/me/app:latest",
		"localhost:5000/a/b:c": "localhost:5000/a/b:c",
		"ghcr.io/x/y":          "ghcr.io/x/y:latest",
		"Bad":                  "",
		"a b":                  "",
	} {
		got, err := NormalizeImage(ref)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", ref, got, err, want)
		}
	}
}

func TestResolveImage(t *testing.T) {
	img, err := shared.ResolveImage(t.Context(), "enginetest", "")
	if err != nil {
		t.Fatal(err)
	}
	c := img.Config
	if img.Name != testImage || !strings.HasPrefix(img.Digest, "sha256:") || !strings.HasPrefix(img.ChainID, "sha256:") || img.Size < 1<<19 {
		t.Errorf("%+v", img)
	}
	if c.Config.WorkingDir != "/tmp" || c.Healthcheck == nil || c.Healthcheck.Interval != 5*time.Second || c.Healthcheck.Retries != 2 {
		t.Errorf("%+v %+v", c.Config, c.Healthcheck)
	}
	if _, err := shared.ResolveImage(t.Context(), "nothere", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("absent: %v", err)
	}
	if _, err := shared.ResolveImage(t.Context(), "enginetest", "linux/s390x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("of another platform: %v", err)
	}
	if _, err := shared.ResolveImage(t.Context(), "enginetest", "a/b/c/d"); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("no platform: %v", err)
	}
}

func TestMountImage(t *testing.T) {
	img, err := shared.ResolveImage(t.Context(), testImage, "")
	if err != nil {
		t.Fatal(err)
	}
	path, release, err := shared.MountImage(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(path, "etc/plain")); err != nil || string(data) != "not a program\n" {
		t.Errorf("%q, %v", data, err)
	}
	if err := os.WriteFile(filepath.Join(path, "etc/plain"), nil, 0o600); err == nil {
		t.Error("the image can be written to")
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(shared.cfg.Root.ImageMounts()); len(entries) > 0 {
		t.Errorf("%v is left", entries)
	}
}

func TestLoadCompressedAndRemove(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(imageArchive("example.org/packed:1"))
	_ = w.Close()
	names, err := shared.Load(t.Context(), &packed)
	if err != nil || !slices.Equal(names, []string{"example.org/packed:1"}) {
		t.Fatalf("%v, %v", names, err)
	}
	list, err := shared.Images(t.Context())
	if err != nil || !slices.ContainsFunc(list, func(i Image) bool { return i.Name == names[0] && i.Digest != "" }) {
		t.Errorf("%v, %v", list, err)
	}
	c := create(t, shell("true"), func(c *CreateConfig) { c.Image.Name = names[0] })
	if err := shared.RemoveImage(t.Context(), names[0]); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "test-"+short(c.id)) {
		t.Errorf("in use: %v", err)
	}
	if err := shared.Remove(t.Context(), c.id); err != nil {
		t.Fatal(err)
	}
	if err := shared.RemoveImage(t.Context(), names[0]); err != nil {
		t.Error(err)
	}
	if err := shared.RemoveImage(t.Context(), names[0]); !errors.Is(err, ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	if _, err := shared.Load(t.Context(), strings.NewReader("no archive")); err == nil {
		t.Error("nonsense was loaded")
	}
}

// registry starts a registry that only "me" with "secret" may use, with the
// image of the tests in it, and returns its address.
func registry(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", dir, address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(filepath.Join(daemon.Dir, "registry"), "serve", config)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	eventually(t, "the registry answers", func() bool {
		resp, err := http.Get("http://" + address + "/v2/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	img, err := shared.conn.GetImage(t.Context(), testImage)
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.conn.Push(t.Context(), address+"/team/app:1", img.Target(), containerd.WithResolver(shared.resolver(t.Context()))); err != nil {
		t.Fatal(err)
	}
	behind, _ := url.Parse("http://" + address)
	proxy := httputil.NewSingleHostReverseProxy(behind)
	guard := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(guard.Close)
	return strings.TrimPrefix(guard.URL, "http://")
}

func TestPull(t *testing.T) {
	address := registry(t)
	ref := address + "/team/app:1"
	docker := t.TempDir()
	c, err := Connect(t.Context(), Config{Address: shared.cfg.Address, Root: shared.cfg.Root, DockerConfigDir: docker})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Pull(t.Context(), ref, PullOptions{}); err == nil {
		t.Error("pulled without credentials")
	}
	auth, _ := json.Marshal(map[string]any{"auths": map[string]any{address: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("me:secret"))}}})
	if err := os.WriteFile(filepath.Join(docker, "config.json"), auth, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pull(t.Context(), address+"/team/app:nope", PullOptions{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such tag: %v", err)
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			img, err := c.Pull(t.Context(), ref, PullOptions{Labels: map[string]string{"pulled": "yes"}, Progress: func(p PullProgress) {
				mu.Lock()
				defer mu.Unlock()
				seen[p.Status] = true
			}})
			if err != nil || img.Name != ref || img.Labels["pulled"] != "yes" {
				t.Errorf("%+v, %v", img.Name, err)
			}
		})
	}
	all.Wait()
	if !seen["resolving"] || !seen["done"] {
		t.Errorf("progress %v", seen)
	}
	out, _ := run(t, shell("echo pulled"), func(cfg *CreateConfig) {
		if cfg.Image, err = c.ResolveImage(t.Context(), ref, ""); err != nil {
			t.Fatal(err)
		}
	})
	if out != "pulled\n" {
		t.Errorf("output %q", out)
	}
}

// TestPullThroughMirror reaches a registry that does not exist by the mirror
// that a hosts.toml names.
func TestPullThroughMirror(t *testing.T) {
	address := registry(t)
	dir := filepath.Join(shared.cfg.Root.RegistryHosts(), "registry.invalid")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	basic := base64.StdEncoding.EncodeToString([]byte("me:secret"))
	hosts := fmt.Sprintf("server = \"https://registry.invalid\"\n[host.\"http://%s\"]\n  capabilities = [\"pull\", \"resolve\"]\n  [host.\"http://%s\".header]\n    Authorization = \"Basic %s\"\n", address, address, basic)
	if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(hosts), 0o600); err != nil {
		t.Fatal(err)
	}
	if img, err := shared.Pull(t.Context(), "registry.invalid/team/app:1", PullOptions{}); err != nil || img.Name != "registry.invalid/team/app:1" {
		t.Errorf("%v, %v", img.Name, err)
	}
}

func TestPullMeter(t *testing.T) {
	var got []string
	m := &pullMeter{ref: "r", show: func(p PullProgress) { got = append(got, fmt.Sprint(p.Status, " ", p.Offset, "/", p.Total)) }}
	d := ocispecLayer(strings.Repeat("a", 64), 10)
	m.expect(d)
	m.expect(d)
	body := meterReader(nopSeeker{strings.NewReader("0123456789")}, m, short(d.Digest.Encoded()))
	buffer := make([]byte, 4)
	for range 3 {
		_, _ = body.Read(buffer)
	}
	m.finish()
	want := []string{"waiting 0/10", "downloading 4/10", "unpacking 10/10", "done 10/10"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

type nopSeeker struct{ *strings.Reader }

func (nopSeeker) Close() error { return nil }

func TestOnePullForAll(t *testing.T) {
	var p pulls
	var ran sync.WaitGroup
	begin, count := make(chan struct{}), make(chan bool, 5)
	for range 5 {
		ran.Go(func() {
			mine, err := p.once(context.Background(), "k", func() error { <-begin; return errors.New("x") })
			if err == nil {
				t.Error("the error is lost")
			}
			count <- mine
		})
	}
	close(begin)
	ran.Wait()
	close(count)
	made := 0
	for mine := range count {
		if mine {
			made++
		}
	}
	if made == 0 {
		t.Error("nobody pulled")
	}
}

func ocispecLayer(hex string, size int64) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.NewDigestFromEncoded(digest.SHA256, hex), Size: size}
}

// A process that was killed leaves a mount; whoever sweeps takes it away.
func TestSweep(t *testing.T) {
	img, err := shared.ResolveImage(t.Context(), testImage, "")
	if err != nil {
		t.Fatal(err)
	}
	path, _, err := shared.MountImage(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(filepath.Dir(path), "4194305-x") // the kernel's highest pid is 4194304
	if err := shared.releaseMount(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	leased, _, err := shared.conn.WithLease(t.Context(), leases.WithID(mountKey(gone)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shared.snapshots.View(leased, mountKey(gone), img.ChainID); err != nil {
		t.Fatal(err)
	}
	if err := shared.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
	if _, err := shared.snapshots.Stat(t.Context(), mountKey(gone)); !isNotFound(edge(err)) {
		t.Errorf("the snapshot is still there: %v", err)
	}
	if left, err := shared.conn.LeasesService().List(t.Context(), "id=="+mountKey(gone)); err != nil || len(left) > 0 {
		t.Errorf("leases %v are still there: %v", left, err)
	}
}
