package volumes

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/filelabel"
	"github.com/compose-first/compose/project"
)

// Labels of two containers' files, and of what both may use.
const (
	ownLabel    = "system_u:object_r:container_file_t:s0:c12,c345"
	otherLabel  = "system_u:object_r:container_file_t:s0:c6,c78"
	sharedLabel = "system_u:object_r:container_file_t:s0"
	byHand      = "system_u:object_r:container_ro_file_t:s0"
)

func checkLabel(t *testing.T, want string, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if got := filelabel.Of(path); got != want {
			t.Errorf("%s has label %q, want %q", path, got, want)
		}
	}
}

// start does for a container what is done before each of its starts.
func start(t *testing.T, s *Store, id, label string, infos ...project.MountInfo) {
	t.Helper()
	if err := s.Restore(t.Context(), id, label, infos); err != nil {
		t.Fatal(err)
	}
}

// Volumes are for all containers, what they are filled with on first use as
// well, whoever has started before.
func TestLabelsOfVolumes(t *testing.T) {
	root := image(t)
	rootfs := func(context.Context) (string, func() error, error) { return root, func() error { return nil }, nil }
	filled := func(t *testing.T, s *Store, w Want) string {
		t.Helper()
		p, err := s.Prepare(t.Context(), PrepareConfig{ContainerID: "c2", Project: "shop", Label: ownLabel, Mounts: []Want{w}, Rootfs: rootfs})
		if err != nil {
			t.Fatal(err)
		}
		start(t, s, "c2", ownLabel, p.Infos...)
		return s.Path(w.Info.Name)
	}
	below := func(dir string) []string {
		return []string{dir, filepath.Join(dir, "sub"), filepath.Join(dir, "sub", "file"), filepath.Join(dir, "link"), filepath.Join(dir, "pipe")}
	}
	for name, v := range map[string]Volume{
		"plain":  {Name: "plain"},
		"device": {Name: "device", Options: map[string]string{"type": "tmpfs", "o": "size=64m", "device": "tmpfs"}},
	} {
		t.Run(name, func(t *testing.T) {
			checkLabel(t, sharedLabel, below(filled(t, store(t), Want{Info: named(name, "/data"), Volume: v}))...)
		})
	}
	t.Run("filled after a start of another", func(t *testing.T) {
		s := store(t)
		v := Want{Info: named("late", "/data", wordNoCopy), Volume: Volume{Name: "late"}}
		start(t, s, "c1", otherLabel, prepare(t, s, "c1", "", v).Infos...)
		checkLabel(t, sharedLabel, s.Path("late"))
		v.Info.Options = nil
		checkLabel(t, sharedLabel, below(filled(t, s, v))...)
	})
	t.Run("Z keeps others out", func(t *testing.T) {
		checkLabel(t, ownLabel, below(filled(t, store(t), Want{Info: named("own", "/data", wordOwn), Volume: Volume{Name: "own"}}))...)
	})
	t.Run("a host without SELinux", func(t *testing.T) {
		s := store(t)
		p := prepare(t, s, "c1", root, Want{Info: named("bare", "/data"), Volume: Volume{Name: "bare"}})
		before := filelabel.Of(t.TempDir())
		start(t, s, "c1", "", p.Infos...)
		checkLabel(t, before, below(s.Path("bare"))...)

		start(t, s, "c1", ownLabel, p.Infos...) // which it now has
		checkLabel(t, sharedLabel, below(s.Path("bare"))...)
	})
	t.Run("one that is labelled is not gone through again", func(t *testing.T) {
		s := store(t)
		dir := filled(t, s, Want{Info: named("known", "/data"), Volume: Volume{Name: "known"}})
		file := filepath.Join(dir, "sub", "file")
		if err := filelabel.Set(file, byHand); err != nil {
			t.Fatal(err)
		}
		start(t, s, "c3", otherLabel, named("known", "/data"))
		checkLabel(t, byHand, file)
	})
	t.Run("a device that is read-only", func(t *testing.T) {
		s := store(t)
		v := Want{Info: named("ro", "/data", wordNoCopy), Volume: Volume{Name: "ro", Options: map[string]string{"type": "tmpfs", "o": "ro", "device": "tmpfs"}}}
		start(t, s, "c1", ownLabel, prepare(t, s, "c1", "", v).Infos...)
	})
	t.Run("a folder of the system as device", func(t *testing.T) {
		s := store(t)
		before := filelabel.Of("/usr/share")
		v := Want{Info: named("sys", "/data", wordNoCopy), Volume: Volume{Name: "sys", Options: map[string]string{"type": "none", "o": "bind,ro", "device": "/usr/share"}}}
		start(t, s, "c1", ownLabel, prepare(t, s, "c1", "", v).Infos...)
		checkLabel(t, before, "/usr/share")
	})
}

// The host's own files keep their label unless z or Z asks for another.
func TestLabelsOfBinds(t *testing.T) {
	host := t.TempDir()
	write(t, filepath.Join(host, "sub", "file"), "x")
	before := filelabel.Of(host)
	for _, tt := range []struct {
		name, keys, label, want string
	}{
		{"without a word", "[DIR:/data]", ownLabel, before},
		{"no SELinux", "[DIR:/data:z, DIR:/own:Z]", "", before},
		{"z", "[DIR:/data:z]", ownLabel, sharedLabel},
		{"Z", "[DIR:/data:Z]", ownLabel, ownLabel},
		{"Z of another", "[DIR:/data:Z]", otherLabel, otherLabel},
		{"the long form", "[{type: bind, source: DIR, target: /data, bind: {selinux: z}}]", ownLabel, sharedLabel},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := parse(t, web("volumes: "+strings.ReplaceAll(tt.keys, "DIR", host)))
			wants, err := Resolve(p, "web", nil, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			s := store(t)
			start(t, s, "c1", tt.label, prepare(t, s, "c1", "", wants...).Infos...)
			checkLabel(t, tt.want, host, filepath.Join(host, "sub"), filepath.Join(host, "sub", "file"))
		})
	}
	t.Run("what is put there later, at the next start", func(t *testing.T) {
		s := store(t)
		write(t, filepath.Join(host, "sub", "late"), "x")
		start(t, s, "c1", ownLabel, project.MountInfo{Type: TypeBind, Source: host, Target: "/data", Options: []string{wordShared}})
		checkLabel(t, sharedLabel, filepath.Join(host, "sub", "late"))
	})
}

// Folders that the system needs are refused before anything is changed, and,
// should they have come between, at the start.
func TestLabelsThatStay(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/usr/share", link); err != nil {
		t.Fatal(err)
	}
	const kept = "services.web.volumes[0]: bind.selinux: /usr/share must keep the SELinux label that it has: mount a folder below it, or leave the label as it is (no z or Z)"
	s := store(t)
	for _, tt := range []struct {
		name, volume string
		labelled     bool
		want         string
	}{
		{"a folder of the system", "/usr/share:/x:z", true, kept},
		{"for one alone", "/usr/share:/x:Z", true, kept},
		{"by a link", link + ":/x:z", true, kept},
		{"on a host without SELinux", "/usr/share:/x:z", false, ""},
		{"as it is", "/usr/share:/x:ro", true, ""},
		{"a folder of the user's", dir + ":/x:z", true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := s.Check(parse(t, web("volumes: ['"+tt.volume+"']")), []string{"web"}, tt.labelled); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
	before := filelabel.Of("/usr/share")
	err := s.Restore(t.Context(), "c1", ownLabel, []project.MountInfo{{Type: TypeBind, Source: link, Target: "/x", Options: []string{wordShared}}})
	if err == nil || !strings.Contains(err.Error(), "mount at /x: /usr/share must keep") {
		t.Errorf("at the start: %v", err)
	}
	checkLabel(t, before, "/usr/share")
}

// Secrets and configs are for one container, those that are mounted from the
// host elsewhere as well: their own label would keep it out.
func TestLabelsOfFiles(t *testing.T) {
	s, host := store(t), t.TempDir()
	source, folder := filepath.Join(host, "token"), filepath.Join(host, "conf.d")
	write(t, source, "from a file")
	write(t, filepath.Join(folder, "x"), "in a folder")
	if err := errors.Join(os.Chmod(source, 0o640), os.Chown(source, 5, 6)); err != nil {
		t.Fatal(err)
	}
	before := filelabel.Of(source)
	files := []project.File{
		{Kind: "secret", Name: "env", Target: "/run/secrets/env", Mode: 0o444},
		{Kind: "secret", Name: "token", Source: source, Target: "/run/secrets/token", Mode: 0o444, AsIs: true},
		{Kind: "config", Name: "folder", Source: folder, Target: "/etc/conf.d", Mode: 0o444, AsIs: true},
	}
	if err := s.WriteFiles(t.Context(), "c1", files, map[string][]byte{"secret/env": []byte("hush")}); err != nil {
		t.Fatal(err)
	}
	mounts, err := s.RestoreFiles(t.Context(), "c1", ownLabel, files)
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]string{}
	for _, m := range mounts {
		at[m.Target] = m.Source
	}
	if got := look(t, at["/run/secrets/env"]); got != "0444 0:0 hush" {
		t.Errorf("a secret from the environment is %s", got)
	}
	if got := look(t, at["/run/secrets/token"]); got != "0440 5:6 from a file" { // nobody writes to a copy
		t.Errorf("a secret that is as it is on the host is %s", got)
	}
	checkLabel(t, ownLabel, at["/run/secrets/env"], at["/run/secrets/token"])
	checkLabel(t, before, source, folder)
	if at["/etc/conf.d"] != folder {
		t.Errorf("a folder is mounted from %s", at["/etc/conf.d"])
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(at["/run/secrets/token"], &fs); err != nil || fs.Type != unix.TMPFS_MAGIC {
		t.Errorf("the copy of a secret is on a file system of type %x, %v", fs.Type, err)
	}
}
