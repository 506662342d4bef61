package isolation

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// outside makes a folder of the host with one file, that links lead to, and
// checks at the end of the test that nothing has come or gone there.
func outside(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(engine.Root, "outside", t.Name())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "of-the-host"), []byte("of the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := list(t, dir)
	t.Cleanup(func() {
		if after := list(t, dir); after != before {
			t.Errorf("on the host there is now\n%swhere there was\n%s", after, before)
		}
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil || strings.Contains(string(mounts), " "+dir) {
			t.Errorf("something is mounted on the host's folder (%v)", err)
		}
	})
	return dir
}

// list is all below a folder, a line each, with owner and mode.
func list(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintln(&b, path, info.Mode(), info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestMountTargetsStayInside has an image with links to the host's folders
// where volumes, tmpfs, secrets, configs and the working folder are to be.
func TestMountTargetsStayInside(t *testing.T) {
	host := outside(t)
	s := open(t, "targets", "compose.yaml", fmt.Sprintf(`
services:
  it:
    build:
      context: .
      dockerfile_inline: |
        FROM busybox
        RUN ln -s %[1]s /abs && ln -s ../../../../../..%[1]s /rel && ln -s %[1]s /full \
          && mkdir /real && echo of the image > /real/f && ln -s /real/../../real /in
    command: [sleep, infinity]
    stop_grace_period: 0s
    working_dir: /rel/work
    volumes:
      - data:/abs/volume
      - first:/in
      - trap:/full
      - escape:/rel/../../../../../../up
      - {type: tmpfs, target: /rel/tmpfs}
      - ./mine:/abs/bind/deep
    tmpfs: /abs/short
    secrets: [{source: password, target: /abs/secret}]
    configs: [{source: settings, target: /rel/config}]
volumes: {data: {}, first: {}, trap: {}, escape: {}}
secrets: {password: {file: ./password.txt}}
configs: {settings: {content: inline}}
`, host), "password.txt", "secret", "mine/file", "mine")
	s.must("up", "-d")
	for what, want := range map[string]string{
		"cat /in/f":               "of the image\n", // filling a volume, a link of the image leads inside of it
		"cat /abs/bind/deep/file": "mine",
		"cat /abs/secret":         "secret",
		"cat /rel/config":         "inline",
		// Nor is what only the host has copied to the volume there.
		"ls /abs/":  "bind\nconfig\nsecret\nshort\ntmpfs\nvolume\nwork\n",
		"ls -d /up": "/up\n",
	} {
		if got := s.must("exec", "-T", "it", "sh", "-c", what); got != want {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
}

// TestSubpathsStayInTheVolume has a container put links into a volume, and
// another get a folder of it.
func TestSubpathsStayInTheVolume(t *testing.T) {
	host := outside(t)
	file := fmt.Sprintf(`
x-it: &it {image: busybox, network_mode: none, stop_grace_period: 0s, command: [ls, /sub]}
services:
  maker:
    <<: *it
    command:
      - sh
      - -c
      - |
        mkdir -p /v/real/deep && echo inside > /v/real/deep/inside
        ln -s real /v/in
        ln -s %s /v/abs
        ln -s ../../../../../../../../../../..%s /v/up
        ln -s /proc/1/root /v/magic
        ln -s loop /v/loop
    volumes: ["data:/v"]
`, host, host)
	rows := map[string]string{ // subpath: what is seen, or the error
		"real/deep": "inside", "in/deep": "inside",
		"abs": "leads out of the volume", "up": "leads out of the volume", "magic": "leads out of the volume", "loop": "leads out of the volume",
		"abs/of-the-host": "leads out of the volume", "none": "no such file",
	}
	names := map[string]string{}
	for subpath := range rows {
		name := fmt.Sprintf("s%d", len(names))
		names[name] = subpath
		file += fmt.Sprintf("  %s: {<<: *it, volumes: [{type: volume, source: data, target: /sub, volume: {subpath: %q}}]}\n", name, subpath)
	}
	s := open(t, "subpaths", "compose.yaml", file+"volumes: {data: {}}\n")
	s.must("run", "--rm", "maker")
	for name, subpath := range names {
		r := s.run("run", "--rm", name)
		if got := r.Stdout + r.Stderr; !strings.Contains(got, rows[subpath]) || strings.Contains(got, "of-the-host\n") {
			t.Errorf("subpath %s: exit %d, %q, want %q", subpath, r.Code, got, rows[subpath])
		}
	}
}

// TestRacingContainer has a container exchange a folder of a volume and a link
// to the host, as fast as it can, while others get mounts by that name.
func TestRacingContainer(t *testing.T) {
	host := outside(t)
	s := open(t, "racing", "compose.yaml", fmt.Sprintf(`
x-it: &it {image: busybox, network_mode: none, stop_grace_period: 0s}
services:
  racer:
    <<: *it
    command: [sh, -c, "mkdir -p /v/dir/t && echo inside > /v/dir/inside && ln -sfn %[1]s /v/link && exec /probe race /v/dir /v/link"]
    volumes: ["data:/v", "%[2]s:/probe:ro"]
  subpath:
    <<: *it
    command: [ls, /sub]
    volumes: [{type: volume, source: data, target: /sub, volume: {subpath: dir}}]
  target:
    <<: *it
    command: [cat, /proc/mounts]
    volumes: ["data:/v", {type: tmpfs, target: /v/dir/t}, {type: volume, source: more, target: /v/dir/made/deep}]
    secrets: [{source: password, target: /v/dir/secret}]
volumes: {data: {}, more: {}}
secrets: {password: {file: ./password.txt}}
`, host, probe), "password.txt", "secret")
	s.must("up", "-d", "racer")
	const tries = 8 // each starts two containers
	won := 0
	for range tries {
		for _, service := range []string{"subpath", "target"} {
			r := s.run("run", "--rm", service)
			if strings.Contains(r.Stdout, "of-the-host") {
				t.Fatalf("%s was led out:\n%s", service, r.Stdout)
			}
			if r.Code == 0 {
				won++
			}
		}
	}
	if won == 0 {
		t.Error("no container ever started: nothing was raced")
	}
	if got := s.must("ps", "racer", "--format", "{{.State}}"); got != "running\n" {
		t.Errorf("the racer is %s: %s", got, s.run("logs", "racer").Stdout)
	}
}

// TestBuildsStayInTheContext has links in a context that lead out of it.
func TestBuildsStayInTheContext(t *testing.T) {
	host := outside(t)
	s := open(t, "contexts", "compose.yaml", `
services:
  copies: {build: {context: ctx, dockerfile_inline: "FROM busybox\nCOPY out/of-the-host /copied"}}
  copies-all: {build: {context: ctx, dockerfile_inline: "FROM busybox\nCOPY . /all/\nRUN test -L /all/out && test -L /all/file && test ! -e /all/out/of-the-host && test ! -e /all/file"}}
  dockerfile: {build: {context: ctx}}
`, "ctx/x", "")
	for name, target := range map[string]string{
		"out": host, "file": filepath.Join(host, "of-the-host"), "Dockerfile": filepath.Join(host, "of-the-host"),
	} {
		if err := os.Symlink(target, filepath.Join(s.dir, "ctx", name)); err != nil {
			t.Fatal(err)
		}
	}
	s.must("build", "copies-all")
	for service, want := range map[string]string{"copies": "not found", "dockerfile": "leads out of the context"} {
		r := s.run("build", service)
		if r.Code != 1 || !strings.Contains(r.Stderr, want) || strings.Contains(r.Stdout+r.Stderr, "of the host\n") {
			t.Errorf("build %s: exit %d, %s%s", service, r.Code, r.Stdout, r.Stderr)
		}
	}
}
