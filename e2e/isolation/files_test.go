package isolation

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEngineIsRootsAlone looks at each file of an engine that has a container,
// a volume, a secret and a log: no other user may read or write one, connect
// to a socket, or see what there is.
func TestEngineIsRootsAlone(t *testing.T) {
	s := open(t, "alone", "compose.yaml", `
services:
  it:
    image: busybox
    command: [sh, -c, "echo said; sleep infinity"]
    stop_grace_period: 0s
    volumes: [data:/data]
    secrets: [password, {source: token, mode: 0o444}]
volumes:
  data:
secrets:
  password: {file: ./password.txt}
  token: {environment: TOKEN}
`, "password.txt", "of the file")
	s.env = []string{"TOKEN=of the environment"}
	s.must("up", "-d")
	eventually(t, "the log", func() bool { return strings.Contains(s.must("logs", "it"), "said") })

	seen := map[string]int{}
	for _, dir := range []string{"lib", "run"} {
		err := filepath.WalkDir(filepath.Join(engine.Root, dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return beGone(err)
			}
			st, err := os.Lstat(path)
			if err != nil {
				return beGone(err)
			}
			seen[e.Type().String()]++
			if st.Sys().(*syscall.Stat_t).Uid != 0 || path == filepath.Join(engine.Root, dir) && st.Mode().Perm() != 0o700 {
				t.Errorf("%s is %v of user %d", path, st.Mode(), st.Sys().(*syscall.Stat_t).Uid)
			}
			if e.IsDir() && st.Mode().Perm()&0o077 == 0 && path != filepath.Join(engine.Root, dir) && strings.Contains(path, "/io.containerd.") {
				return fs.SkipDir // images, thousands of files behind a closed door
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen[fs.ModeDir.String()] < 10 || seen[fs.ModeSocket.String()] < 2 || seen[fs.FileMode(0).String()] < 10 {
		t.Errorf("only seen: %v", seen)
	}

	// Another user finds that out for himself, and that the way to the folder is open.
	for path, open := range map[string]bool{
		engine.Binary: true, filepath.Join(engine.Root, "lib"): false, filepath.Join(engine.Root, "run"): false,
		filepath.Join(engine.Root, "run", "containerd.sock"): false, filepath.Join(engine.Root, "run", "agent.sock"): false,
		filepath.Join(engine.Root, "lib", "containers", s.id("it"), "log"):  false,
		filepath.Join(engine.Root, "run", "files", s.id("it"), "1"):         false,
		filepath.Join(engine.Root, "lib", "volumes", "alone_data", "_data"): false,
	} {
		if err := asNobody(func() error { return unix.Access(path, unix.F_OK|unix.R_OK) }); (err == nil) != open {
			t.Errorf("nobody looks at %s: %v", path, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("it is not there at all: %v", err)
		}
	}
}

// beGone forgives that a file went meanwhile.
func beGone(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// TestSecretsStayWhereTheyBelong looks for the contents of secrets and configs
// in all that the engine keeps, shows and says, while their container runs.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	const marker = "mArKeR" // in each of the contents
	s := open(t, "secrets", "compose.yaml", `
services:
  it:
    image: busybox
    command: [sh, -c, "wc -c /run/secrets/* /settings /inline; sleep infinity"]
    stop_grace_period: 0s
    secrets: [{source: of-file, mode: 0o400}, of-environment]
    configs: [{source: settings, target: /settings, uid: "7"}, {source: inline, target: /inline}]
    healthcheck: {test: [CMD, test, -s, /run/secrets/of-file], interval: 1s}
  broken:
    image: busybox
    command: [/nothing]
    secrets: [of-file, of-environment]
secrets:
  of-file: {file: ./password.txt}
  of-environment: {environment: TOKEN}
configs:
  settings: {file: ./settings.txt}
  inline: {environment: SETTING}
`, "password.txt", marker+"-of-file", "settings.txt", marker+"-of-settings")
	s.env = []string{"TOKEN=" + marker + "-of-environment", "SETTING=" + marker + "-inline"}

	// The agent is started by a command that has a secret in its environment.
	if err := engine.Kill(t.Context(), "logger"); err != nil {
		t.Fatal(err)
	}
	if err := engine.Kill(t.Context(), "agent"); err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	say := func(args ...string) {
		r := s.run(args...)
		said["compose "+strings.Join(args, " ")] = r.Stdout + r.Stderr
	}
	say("plan")
	say("plan", "--format", "json")
	say("--progress", "json", "up", "-d", "it")
	say("--debug", "up", "-d", "broken") // fails
	say("up", "-d", "--dry-run", "--force-recreate")
	say("ps", "-a", "--format", "json")
	say("logs")
	say("config")
	say("config", "--format", "json")
	say("config", "--hash", "*")
	say("ls", "-a", "--format", "json")
	say("top")
	say("exec", "-T", "it", "nothing")
	for what, text := range said {
		if strings.Contains(text, marker) {
			t.Errorf("%s shows a secret:\n%s", what, text)
		}
	}
	id := s.id("it")
	if got := s.must("exec", "-T", "it", "cat", "/run/secrets/of-file", "/run/secrets/of-environment", "/settings", "/inline"); strings.Count(got, marker) != 4 {
		t.Fatalf("the container sees %q", got)
	}
	if got := s.must("exec", "-T", "it", "cat", "/proc/self/mounts"); strings.Count(got, "tmpfs /run/secrets/")+strings.Count(got, "tmpfs /settings")+strings.Count(got, "tmpfs /inline") != 4 {
		t.Errorf("not all is on a tmpfs:\n%s", got)
	}

	for _, p := range engine.Processes() {
		for _, file := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.PID, file))
			if err == nil && bytes.Contains(b, []byte(marker)) {
				t.Errorf("the %s of %s has a secret in it", file, p)
			}
		}
	}
	// What comes from no file is kept for the next boot, there and nowhere else.
	kept := filepath.Join(engine.Root, "lib", "files", id)
	found := holders(t, marker)
	for _, path := range found {
		if !strings.HasPrefix(path, kept+"/") && !strings.Contains(path, "/lib/files/") {
			t.Errorf("%s holds a secret", path)
		}
	}
	if len(found) == 0 {
		t.Error("nothing is found where something is kept: nothing was looked for")
	}
	// With the container what was kept is gone.
	s.must("down", "-t", "0")
	if left := holders(t, marker); len(left) > 0 {
		t.Errorf("after down a secret is in %q", left)
	}
}

// holders lists the files of the engine on its disk, and those of its run
// state that are on no tmpfs of secrets, with a text in them: records of
// containers, labels and logs among them, since all of these are files.
func holders(t *testing.T, text string) []string {
	t.Helper()
	var found []string
	for _, dir := range []string{"lib", "run"} {
		err := filepath.WalkDir(filepath.Join(engine.Root, dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return beGone(err)
			}
			if e.IsDir() && (path == filepath.Join(engine.Root, "run", "files") || e.Name() == "rootfs") {
				return fs.SkipDir // the tmpfs, and the containers' own view of it
			}
			if !e.Type().IsRegular() {
				return nil
			}
			content, err := os.ReadFile(path)
			if errors.Is(err, unix.EINVAL) { // a namespace
				return nil
			}
			if err != nil {
				return beGone(err)
			}
			if bytes.Contains(content, []byte(text)) {
				found = append(found, path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(found)
	return found
}

// asNobody does something with the rights of the user nobody.
func asNobody(do func() error) error {
	return onThread(func() error {
		const nobody = 65534
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); e != 0 {
			return fmt.Errorf("become nobody: %w", e)
		}
		return do()
	})
}
