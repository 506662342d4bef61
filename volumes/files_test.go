package volumes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/project"
)

// look is mode, owner and content of a file.
func look(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%04o %d:%d %s", st.Mode&0o7777, st.Uid, st.Gid, b)
}

func TestFiles(t *testing.T) {
	s, host := store(t), t.TempDir()
	source := filepath.Join(host, "token")
	write(t, source, "from a file")
	if err := os.Chmod(source, 0o600); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(host, "conf.d")
	write(t, filepath.Join(folder, "x"), "in a folder")
	files := []project.File{
		{Kind: "secret", Name: "env", Target: "/run/secrets/env", Mode: 0o444},
		{Kind: "config", Name: "env", Target: "/env", UID: 5, GID: 6, Mode: 0o755},
		{Kind: "secret", Name: "env", Target: "/twice", Mode: 0o400},
		{Kind: "secret", Name: "token", Source: source, Target: "/run/secrets/token", UID: 7, Mode: 0o440},
		{Kind: "config", Name: "plain", Source: source, Target: "/plain", Mode: 0o444, AsIs: true},
		{Kind: "config", Name: "folder", Source: folder, Target: "/etc/conf.d", Mode: 0o444, AsIs: true},
	}
	contents := map[string][]byte{"secret/env": []byte("hush"), "config/env": []byte("#!/bin/sh\n")}
	if err := s.WriteFiles(t.Context(), "c1", files, contents); err != nil {
		t.Fatal(err)
	}
	restore := func() map[string]Mount {
		t.Helper()
		mounts, err := s.RestoreFiles(t.Context(), "c1", "", files)
		if err != nil {
			t.Fatal(err)
		}
		at := map[string]Mount{}
		for _, m := range mounts {
			at[m.Target] = m
			if m.Type != "bind" || !strings.Contains(strings.Join(m.Options, " "), "ro") {
				t.Errorf("mount: %+v", m)
			}
		}
		return at
	}
	first := restore()
	for target, want := range map[string]string{
		"/run/secrets/env": "0444 0:0 hush", "/env": "0555 5:6 #!/bin/sh\n", "/twice": "0400 0:0 hush",
		"/run/secrets/token": "0440 7:0 from a file", "/plain": "0600 0:0 from a file",
	} {
		if got := look(t, first[target].Source); got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
	if first["/plain"].Source != source || first["/etc/conf.d"].Source != folder {
		t.Errorf("what is to be as it is on the host is mounted from %s and %s", first["/plain"].Source, first["/etc/conf.d"].Source)
	}

	t.Run("they are root's alone and on a tmpfs", func(t *testing.T) {
		checkPrivate(t, s)
	})
	t.Run("after a reboot they are in the same places, with what the sources have now", func(t *testing.T) {
		if err := s.Unmount(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(s.root.Run); err != nil {
			t.Fatal(err)
		}
		write(t, source, "from a changed file")
		again := restore()
		for target, m := range first {
			if again[target].Source != m.Source {
				t.Errorf("%s moved from %s to %s", target, m.Source, again[target].Source)
			}
		}
		if got := look(t, again["/run/secrets/token"].Source); got != "0440 7:0 from a changed file" {
			t.Errorf("got %q", got)
		}
		if got := look(t, again["/run/secrets/env"].Source); got != "0444 0:0 hush" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a running container keeps the file it has", func(t *testing.T) {
		open, err := os.Open(first["/run/secrets/token"].Source)
		if err != nil {
			t.Fatal(err)
		}
		defer open.Close()
		write(t, source, "later")
		restore()
		b := make([]byte, 64)
		n, _ := open.Read(b)
		if string(b[:n]) != "from a changed file" {
			t.Errorf("got %q", b[:n])
		}
	})
	t.Run("an execute bit works, although the tmpfs has noexec", func(t *testing.T) {
		at := filepath.Join(t.TempDir(), "script")
		write(t, at, "")
		if err := unix.Mount(first["/env"].Source, at, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		defer unix.Unmount(at, 0)
		if err := unix.Mount("", at, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
			t.Fatal(err)
		}
		if err := unix.Access(at, unix.X_OK); err != nil {
			t.Error(err)
		}
	})
	t.Run("nothing is left of a container that is gone", func(t *testing.T) {
		for range 2 {
			if err := s.RemoveFiles(t.Context(), "c1"); err != nil {
				t.Fatal(err)
			}
		}
		for _, dir := range []string{s.root.Files("c1"), s.root.KeptFiles("c1")} {
			if _, err := os.Lstat(dir); !os.IsNotExist(err) {
				t.Errorf("%s is left (%v)", dir, err)
			}
		}
		if strings.Contains(mountTable(t), s.root.RunFiles()) {
			t.Error("the tmpfs is left")
		}
		if b, _ := os.ReadFile(source); string(b) != "later" {
			t.Errorf("the source has %q", b)
		}
	})
}

// The tmpfs comes with the first container and goes with the last, and no
// file ever lies below it instead of on it.
func TestFilesComeAndGo(t *testing.T) {
	s := store(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			id := fmt.Sprintf("c%d", i)
			files := []project.File{{Kind: "secret", Name: "s", Target: "/s", Mode: 0o444}}
			for range 5 {
				if err := s.WriteFiles(t.Context(), id, files, map[string][]byte{"secret/s": []byte("x")}); err != nil {
					t.Error(err)
				}
				mounts, err := s.RestoreFiles(t.Context(), id, "", files)
				if err != nil {
					t.Error(err)
					return
				}
				if on, err := onTmpfs(mounts[0].Source); err != nil || !on {
					t.Errorf("%s is on a disk (%v)", mounts[0].Source, err)
				}
				if err := s.RemoveFiles(t.Context(), id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left, _ := os.ReadDir(s.root.RunFiles()); len(left) > 0 || strings.Contains(mountTable(t), s.root.RunFiles()) {
		t.Errorf("left: %v", left)
	}
}

func checkPrivate(t *testing.T, s *Store) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(s.root.RunFiles(), &st); err != nil {
		t.Fatal(err)
	}
	const flags = unix.ST_NOSUID | unix.ST_NODEV | unix.ST_NOEXEC
	if st.Type != unix.TMPFS_MAGIC || st.Flags&flags != flags {
		t.Errorf("they are on %x with flags %x", st.Type, st.Flags)
	}
	for _, dir := range []string{s.root.RunFiles(), s.root.Files("c1"), s.root.KeptFiles("c1")} {
		if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v (%v)", dir, st.Mode(), err)
		}
	}
	kept, err := os.ReadDir(s.root.KeptFiles("c1"))
	if err != nil || len(kept) != 2 {
		t.Errorf("kept: %v (%v)", kept, err)
	}
	for _, e := range kept {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v (%v)", e.Name(), info.Mode(), err)
		}
	}
	if n := strings.Count(mountTable(t), " "+s.root.RunFiles()+" "); n != 1 {
		t.Errorf("mounted %d times", n)
	}
}

func mountTable(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFilesThatCannotBe(t *testing.T) {
	s, dir := store(t), t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		file project.File
		want string
	}{
		{"a source that is gone", project.File{Source: filepath.Join(dir, "gone"), Target: "/x"}, `secret "s": stat ` + filepath.Join(dir, "gone") + ": no such file or directory"},
		{"a folder with a mode", project.File{Source: dir, Target: "/x", Mode: 0o400}, `secret "s": ` + dir + " is a folder: it cannot be given an owner or mode"},
		{"a pipe", project.File{Source: filepath.Join(dir, "pipe"), Target: "/x"}, `secret "s": ` + filepath.Join(dir, "pipe") + " is neither a file nor a folder"},
		{"a content that is not kept", project.File{Target: "/x"}, `secret "s": its content is no longer kept: recreate the container`},
		{"no target", project.File{Source: dir, Target: "x/.."}, `secret "s": target "x/.." is not a path of a file`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.file.Kind, tt.file.Name = "secret", "s"
			_, err := s.RestoreFiles(t.Context(), "c1", "", []project.File{tt.file})
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
	err := s.WriteFiles(t.Context(), "c1", []project.File{{Kind: "secret", Name: "s"}}, nil)
	if err == nil || err.Error() != `secret "s" has no content` {
		t.Errorf("got %v", err)
	}
	for _, id := range []string{"", ".", "..", "../x", "a/b"} {
		if err := s.RemoveFiles(t.Context(), id); err == nil {
			t.Errorf("container %q was accepted", id)
		}
	}
}

func TestCheck(t *testing.T) {
	s, dir := store(t), t.TempDir()
	write(t, filepath.Join(dir, "file"), "x")
	private := filepath.Join(dir, "private")
	if err := os.Mkdir(private, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", private, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(private, 0) })
	if err := unix.Mount("", private, "", unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	shared := filepath.Join(dir, "shared")
	if err := os.Mkdir(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", shared, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(shared, 0) })
	if err := unix.Mount("", shared, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	create(t, s, Volume{Name: "there"})
	for _, tt := range []struct{ name, keys, want string }{
		{"a missing source that may be made", "volumes: ['DIR/new/er:/a']", ""},
		{"one that may not", "volumes:\n- {type: bind, source: DIR/new, target: /a, bind: {create_host_path: false}}",
			"services.web.volumes[0]: bind source DIR/new does not exist, and create_host_path is false"},
		{"one that cannot", "volumes: ['DIR/file/sub:/a']", "services.web.volumes[0]: bind source: DIR/file/sub cannot be created: DIR/file is not a folder"},
		{"a shared mount", "volumes: ['DIR/shared:/a:rshared', 'DIR/shared/x:/b:rslave']", ""},
		{"a private one", "volumes: ['DIR/private:/a:rslave']",
			"services.web.volumes[0]: bind.propagation: rslave needs a shared mount, and DIR/private, which has DIR/private, is not: mount --make-rshared DIR/private"},
		{"an external volume that is not there", "volumes: ['ext:/a']",
			`services.web.volumes[0]: volume "theirs" is declared external, and there is none: create it, or drop external`},
		{"all faults at once", "volumes: ['ext:/a', 'DIR/file/sub:/b']",
			"services.web.volumes[0]: volume \"theirs\" is declared external, and there is none: create it, or drop external\n" +
				"services.web.volumes[1]: bind source: DIR/file/sub cannot be created: DIR/file is not a folder"},
		{"a recursion that cannot be", "volumes:\n- {type: bind, source: DIR, target: /a, bind: {recursive: readonly}}",
			"services.web.volumes[0]: bind.recursive: readonly needs read_only"},
		{"files that are there", "secrets: [good]\nconfigs: [folder]", ""},
		{"a file that is not", "secrets: [gone]", "services.web.secrets: gone: stat DIR/gone: no such file or directory"},
		{"a variable that is not set", "secrets: [unset]", `secret "unset" of service "web": environment variable "COMPOSE_TEST_UNSET" is not set`},
		{"a folder with an owner", "configs: [{source: folder, uid: '5'}]", "services.web.configs: folder: DIR is a folder: it cannot be given an owner or mode"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			yaml := web(tt.keys) + "secrets: {good: {file: DIR/file}, gone: {file: DIR/gone}, unset: {environment: COMPOSE_TEST_UNSET}}\nconfigs: {folder: {file: DIR}}\n"
			p := parse(t, strings.ReplaceAll(yaml, "DIR", dir))
			before := entries(t, dir) + entries(t, s.root.State)
			got := ""
			if err := s.Check(p, []string{"web", "db"}, false); err != nil {
				got = err.Error()
			}
			if want := strings.ReplaceAll(tt.want, "DIR", dir); got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
			if after := entries(t, dir) + entries(t, s.root.State); after != before {
				t.Errorf("it changed %s to %s", before, after)
			}
		})
	}
}

func entries(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	if err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error { all = append(all, p); return err }); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func TestOrder(t *testing.T) {
	var got []string
	for _, m := range Order([]Mount{{Target: "/run/secrets/x"}, {Target: "/b"}}, []Mount{{Target: "/run"}, {Target: "/b/c"}}) {
		got = append(got, m.Target)
	}
	if s := strings.Join(got, " "); s != "/b /run /b/c /run/secrets/x" {
		t.Errorf("got %s", s)
	}
}
