package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/compose-first/compose/internal/enginetest"
)

// registry is one of a script's own: the real one, behind a guard that keeps
// what is below private/ for "me" with "secret", and counts what is asked for.
type registry struct {
	server *exec.Cmd
	behind string // the registry itself
	front  *httptest.Server

	mu    sync.Mutex
	blobs map[string]int // fetched, by repository
	asked map[string]int // manifests asked for by tag, by repository
}

// startRegistry starts a registry for the script; $REGISTRY is its address.
func startRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: registry")
	}
	port, err := freePort()
	ts.Check(err)
	r := &registry{behind: fmt.Sprintf("127.0.0.1:%d", port), blobs: map[string]int{}, asked: map[string]int{}}
	dir := ts.MkAbs("registry")
	ts.Check(os.Mkdir(dir, 0o700))
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", dir, r.behind)
	ts.Check(os.WriteFile(config, []byte(text), 0o600))
	r.server = exec.Command(filepath.Join(engine.Libexec, "registry"), "serve", config)
	ts.Check(r.server.Start())
	ts.Defer(func() {
		_ = r.server.Process.Kill()
		_ = r.server.Wait()
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", r.behind)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the registry does not answer: %v", err)
		}
	}
	r.front = httptest.NewServer(r.guard())
	ts.Defer(r.front.Close)
	scripts.Store(ts, r)
	ts.Defer(func() { scripts.Delete(ts) })
	ts.Setenv("REGISTRY", strings.TrimPrefix(r.front.URL, "http://"))
}

// scripts holds the registry of each script that has one.
var scripts sync.Map

func registryOf(ts *testscript.TestScript) *registry {
	r, ok := scripts.Load(ts)
	if !ok {
		ts.Fatalf("start a registry first")
	}
	return r.(*registry)
}

func (r *registry) guard() http.Handler {
	behind := &url.URL{Scheme: "http", Host: r.behind}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		user, password, _ := req.BasicAuth()
		if strings.HasPrefix(req.URL.Path, "/v2/private/") && (user != "me" || password != "secret") {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.count(req)
		proxy.ServeHTTP(w, req)
	})
}

func (r *registry) count(req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	path := strings.TrimPrefix(req.URL.Path, "/v2/")
	if name, tag, ok := strings.Cut(path, "/manifests/"); ok && !strings.HasPrefix(tag, "sha256:") {
		r.asked[name]++
	}
	if name, _, ok := strings.Cut(path, "/blobs/"); ok && req.Method == http.MethodGet {
		r.blobs[name]++
	}
}

// push NAME VERSION puts busybox into the registry as NAME:latest, with the
// version in its file /version.
func push(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: push NAME VERSION")
	}
	r := registryOf(ts)
	ts.Check(r.push(args[0], args[1]))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blobs[args[0]], r.asked[args[0]] = 0, 0
}

// asked NAME compares how often an image was asked for since its push: never,
// or at least once; fetched NAME N counts how many of its parts were fetched.
func asked(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] asked NAME")
	}
	r := registryOf(ts)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.asked[args[0]]; (n > 0) == neg {
		ts.Fatalf("%s was asked for %d times", args[0], n)
	}
	r.asked[args[0]] = 0
}

func fetched(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fetched NAME N")
	}
	r := registryOf(ts)
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := strconv.Itoa(r.blobs[args[0]]); got != args[1] {
		ts.Fatalf("%s parts of %s were fetched, want %s", got, args[0], args[1])
	}
}

func (r *registry) push(name, version string) error {
	base, err := busyboxLayer()
	if err != nil {
		return err
	}
	var own bytes.Buffer
	w := tar.NewWriter(&own)
	_ = w.WriteHeader(&tar.Header{Name: "version", Mode: 0o644, Size: int64(len(version))})
	_, _ = io.WriteString(w, version)
	if err := w.Close(); err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{"Cmd": []string{"cat", "/version"}, "Env": []string{"PATH=/bin:/usr/bin"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{base.diffID, sum(own.Bytes())}},
	})
	if err != nil {
		return err
	}
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int    `json:"size"`
	}
	const media = "application/vnd.oci.image."
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": media + "manifest.v1+json",
		"config": descriptor{media + "config.v1+json", sum(config), len(config)},
		"layers": []descriptor{
			{media + "layer.v1.tar+gzip", sum(base.data), len(base.data)},
			{media + "layer.v1.tar", sum(own.Bytes()), own.Len()},
		},
	})
	if err != nil {
		return err
	}
	at := "http://" + r.behind + "/v2/" + name
	for _, blob := range [][]byte{base.data, own.Bytes(), config} {
		started, err := http.Post(at+"/blobs/uploads/", "", nil)
		if err != nil {
			return err
		}
		started.Body.Close()
		to, err := started.Location()
		if err != nil {
			return err
		}
		query := to.Query()
		query.Set("digest", sum(blob))
		to.RawQuery = query.Encode()
		if err := put(to.String(), "application/octet-stream", blob); err != nil {
			return err
		}
	}
	return put(at+"/manifests/latest", media+"manifest.v1+json", manifest)
}

func put(to, kind string, body []byte) error {
	req, err := http.NewRequest(http.MethodPut, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("put %s: %s", to, resp.Status)
	}
	return nil
}

func sum(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// layer is a packed layer and the digest of what is in it.
type layer struct {
	data   []byte
	diffID string
}

// busyboxLayer is the one layer of the archive that `make images` makes.
func busyboxLayer() (layer, error) {
	repository, err := enginetest.Repository()
	if err != nil {
		return layer{}, err
	}
	archive, err := os.ReadFile(filepath.Join(repository, ".cache", "images", "busybox.tar"))
	if err != nil {
		return layer{}, err
	}
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return layer{}, err
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			return layer{}, err
		}
	}
	var manifest []struct {
		Config string
		Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		return layer{}, err
	}
	var config struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(files[manifest[0].Config], &config); err != nil {
		return layer{}, err
	}
	return layer{data: files[manifest[0].Layers[0]], diffID: config.RootFS.DiffIDs[0]}, nil
}
