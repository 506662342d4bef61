package volumes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/project"
)

func named(name, target string, options ...string) project.MountInfo {
	return project.MountInfo{Type: TypeVolume, Name: name, Target: target, Options: options}
}

// prepare prepares mounts for a container of the image at rootfs.
func prepare(t *testing.T, s *Store, id, rootfs string, wants ...Want) Prepared {
	t.Helper()
	c := PrepareConfig{ContainerID: id, Project: "shop", Mounts: wants}
	if rootfs != "" {
		c.Rootfs = func(context.Context) (string, func() error, error) { return rootfs, func() error { return nil }, nil }
	}
	p, err := s.Prepare(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// image makes the files of an image: below /data one of each kind, with
// owners, modes, times and attributes.
func image(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	d := filepath.Join(root, "data")
	write(t, filepath.Join(d, "sub", "file"), "content")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Link(filepath.Join(d, "sub", "file"), filepath.Join(d, "hard")))
	must(os.Symlink("/etc/passwd", filepath.Join(d, "link")))
	must(os.Lchown(filepath.Join(d, "link"), 11, 12))
	must(os.Chown(filepath.Join(d, "sub", "file"), 5, 6))
	must(os.Chmod(filepath.Join(d, "sub", "file"), 0o4751|os.ModeSetuid))
	must(unix.Chmod(filepath.Join(d, "sub", "file"), 0o4751))
	must(unix.Setxattr(filepath.Join(d, "sub", "file"), "user.note", []byte("hello"), 0))
	must(unix.Setxattr(filepath.Join(d, "sub"), "user.dir", []byte("d"), 0))
	// cap_net_bind_service=ep, version 2
	must(unix.Setxattr(filepath.Join(d, "sub", "file"), "security.capability", []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0))
	must(unix.Mkfifo(filepath.Join(d, "pipe"), 0o620))
	must(unix.Mknod(filepath.Join(d, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(unix.Mknod(filepath.Join(d, "whiteout"), unix.S_IFCHR, 0))
	must(os.Mkdir(filepath.Join(d, "empty"), 0o700))
	must(os.Chown(filepath.Join(d, "empty"), 9, 9))
	f, err := os.Create(filepath.Join(d, "sparse"))
	must(err)
	_, err = f.WriteAt([]byte("end"), 8<<20)
	must(err)
	must(f.Close())
	for _, p := range []string{"sub/file", "empty", "sub"} {
		must(unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(d, p), []unix.Timespec{{Sec: 1e9}, {Sec: 1e9, Nsec: 5}}, 0))
	}
	must(os.Chown(d, 70, 71))
	must(unix.Chmod(d, 0o1750))
	return root
}

// listing is a folder in one line an entry, with all that is to be copied.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	inodes := map[uint64]int{}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if rel == "whiteout" {
			return nil
		}
		if _, ok := inodes[st.Ino]; !ok {
			inodes[st.Ino] = len(inodes)
		}
		fmt.Fprintf(&b, "%s %o %d:%d rdev %d nlink %d inode %d", rel, st.Mode, st.Uid, st.Gid, st.Rdev, st.Nlink, inodes[st.Ino])
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			content, _ := os.ReadFile(path)
			fmt.Fprintf(&b, " size %d %q… blocks<100 %v", st.Size, content[:3], st.Blocks < 100)
			fallthrough
		case unix.S_IFDIR:
			for _, a := range []string{"user.note", "user.dir", "security.capability"} {
				value := make([]byte, 64)
				if n, err := unix.Getxattr(path, a, value); err == nil {
					fmt.Fprintf(&b, " %s=%q", a, value[:n])
				}
			}
			if rel != "." {
				fmt.Fprintf(&b, " time %d.%d", st.Mtim.Sec, st.Mtim.Nsec)
			}
		case unix.S_IFLNK:
			target, _ := os.Readlink(path)
			fmt.Fprintf(&b, " -> %s", target)
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// With first use, all that the image has is in the volume, just as it was.
func TestFirstUse(t *testing.T) {
	root := image(t)
	want := listing(t, filepath.Join(root, "data"))
	s := store(t)
	for name, v := range map[string]Volume{
		"plain":  {Name: "plain"},
		"device": {Name: "device", Options: map[string]string{"type": "tmpfs", "o": "size=64m", "device": "tmpfs"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := prepare(t, s, "c1", root, Want{Info: named(name, "/data", "ro"), Volume: v})
			got := listing(t, s.Path(name))
			w := want
			if name == "device" { // each file system counts a folder's links its own way
				w, got = withoutLinks(w), withoutLinks(got)
			}
			if got != w {
				t.Errorf("got\n%s\nwant\n%s", got, w)
			}
			if m := p.Mounts[0]; m.Source != s.Path(name) || m.Type != "bind" || strings.Join(m.Options, " ") != "rbind rprivate rro" {
				t.Errorf("mount: %+v", m)
			}
			if p.Infos[0].Source != s.Path(name) {
				t.Errorf("recorded: %+v", p.Infos[0])
			}
		})
	}
}

// A folder that only the image's content brings into a volume can be mounted
// beside the volume.
func TestFirstUseBringsSubpath(t *testing.T) {
	s := store(t)
	v := Volume{Name: "v"}
	p := prepare(t, s, "c1", image(t), Want{Info: named("v", "/a", "subpath=sub"), Volume: v}, Want{Info: named("v", "/data"), Volume: v})
	if b, err := os.ReadFile(filepath.Join(p.Mounts[0].Source, "file")); string(b) != "content" {
		t.Errorf("it has %q (%v)", b, err)
	}
}

func withoutLinks(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		head, rest, _ := strings.Cut(line, " nlink ")
		_, rest, _ = strings.Cut(rest, " inode ")
		b.WriteString(head + rest)
	}
	return b.String()
}

func TestFirstUseOnly(t *testing.T) {
	root := image(t)
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, s *Store)
		info   project.MountInfo
		filled bool
	}{
		{"an empty volume", func(t *testing.T, s *Store) { create(t, s, Volume{Name: "v"}) }, named("v", "/data"), true},
		{"one with content", func(t *testing.T, s *Store) {
			create(t, s, Volume{Name: "v"})
			write(t, filepath.Join(s.Path("v"), "mine"), "x")
		}, named("v", "/data"), false},
		{"nocopy", nil, named("v", "/data", "nocopy"), false},
		{"no such folder in the image", nil, named("v", "/nothing/here"), false},
		{"a file in the image", nil, named("v", "/data/sub/file"), false},
		{"one that was filled and emptied by its user", func(t *testing.T, s *Store) {
			prepare(t, s, "c0", root, Want{Info: named("v", "/data"), Volume: Volume{Name: "v"}})
			entries, _ := os.ReadDir(s.Path("v"))
			for _, e := range entries {
				os.RemoveAll(filepath.Join(s.Path("v"), e.Name()))
			}
		}, named("v", "/data"), false},
		{"one whose data were deleted by hand", func(t *testing.T, s *Store) {
			prepare(t, s, "c0", root, Want{Info: named("v", "/data"), Volume: Volume{Name: "v"}})
			os.RemoveAll(s.Path("v"))
		}, named("v", "/data"), true},
		{"one that was deleted by hand", func(t *testing.T, s *Store) {
			prepare(t, s, "c0", root, Want{Info: named("v", "/data"), Volume: Volume{Name: "v"}})
			os.RemoveAll(s.dir("v"))
		}, named("v", "/data"), true},
		{"one whose copying was interrupted", func(t *testing.T, s *Store) {
			create(t, s, Volume{Name: "v"})
			write(t, filepath.Join(s.dir("v"), fillDir, "half"), "x")
		}, named("v", "/data"), true},
		{"one whose moving in was interrupted", func(t *testing.T, s *Store) {
			prepare(t, s, "c0", root, Want{Info: named("v", "/data"), Volume: Volume{Name: "v"}})
			back := filepath.Join(s.dir("v"), fillDir)
			if err := os.Mkdir(back, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"sub", "pipe", "sparse"} {
				if err := os.Rename(filepath.Join(s.Path("v"), name), filepath.Join(back, name)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(back, 0o750|os.ModeSticky); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(back, 70, 71); err != nil {
				t.Fatal(err)
			}
			if err := s.update(t.Context(), "v", func(r *record) error { r.Fill = fillMoving; return nil }); err != nil {
				t.Fatal(err)
			}
		}, named("v", "/data"), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := store(t)
			if tt.before != nil {
				tt.before(t, s)
			}
			prepare(t, s, "c1", root, Want{Info: tt.info, Volume: Volume{Name: "v"}})
			got := listing(t, s.Path("v"))
			if filled := got == listing(t, filepath.Join(root, "data")); filled != tt.filled {
				t.Errorf("filled: %v, want %v\n%s", filled, tt.filled, got)
			}
			if strings.Contains(got, "half") {
				t.Error("half a copy is left")
			}
			if _, err := os.Lstat(filepath.Join(s.dir("v"), fillDir)); err == nil {
				t.Error("the copy's folder is left")
			}
		})
	}
}

// However many containers come at once, the image's content is copied once,
// and none of them goes on before it is there.
func TestFirstUseAtOnce(t *testing.T) {
	root, s := image(t), store(t)
	want := listing(t, filepath.Join(root, "data"))
	var (
		wg     sync.WaitGroup
		copied atomic.Int32
	)
	for i := range 8 {
		wg.Go(func() {
			_, err := s.Prepare(t.Context(), PrepareConfig{
				ContainerID: fmt.Sprintf("c%d", i),
				Mounts:      []Want{{Info: named("v", "/data"), Volume: Volume{Name: "v"}}},
				Rootfs: func(context.Context) (string, func() error, error) {
					copied.Add(1)
					return root, func() error { return nil }, nil
				},
			})
			if err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(s.Path("v"), "sub", "file")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := listing(t, s.Path("v")); got != want || copied.Load() != 1 {
		t.Errorf("copied %d times:\n%s", copied.Load(), got)
	}
}

// Links in the image lead where they lead for a process in the container.
func TestFirstUseFollowsLinksInsideTheImage(t *testing.T) {
	root, s := t.TempDir(), store(t)
	outside := t.TempDir()
	write(t, filepath.Join(outside, "secret"), "x")
	write(t, filepath.Join(root, "real", "f"), "x")
	for link, target := range map[string]string{
		"absolute": "/real", "up": "../../../../real", "outside": outside,
		"relative": "real/../real", "loop": "loop",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for link, want := range map[string]string{"absolute": "f", "up": "f", "relative": "f", "outside": "", "loop": ""} {
		prepare(t, s, "c1", root, Want{Info: named(link, "/"+link), Volume: Volume{Name: link}})
		entries, err := os.ReadDir(s.Path(link))
		got := ""
		for _, e := range entries {
			got += e.Name()
		}
		if got != want || err != nil {
			t.Errorf("%s: the volume has %q, want %q (%v)", link, got, want, err)
		}
	}
}

func TestFirstUseThatFailsLeavesNothing(t *testing.T) {
	root, s := image(t), store(t)
	v := Volume{Name: "small", Options: map[string]string{"type": "tmpfs", "o": "size=64k", "device": "tmpfs"}}
	write(t, filepath.Join(root, "data", "big"), strings.Repeat("x", 1<<20))
	c := PrepareConfig{ContainerID: "c1", Mounts: []Want{{Key: "k", Info: named("small", "/data"), Volume: v}},
		Rootfs: func(context.Context) (string, func() error, error) { return root, func() error { return nil }, nil }}
	_, err := s.Prepare(t.Context(), c)
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "fill volume small from the image: copy ") {
		t.Errorf("got %v", err)
	}
	if entries, _ := os.ReadDir(s.Path("small")); len(entries) > 0 {
		t.Errorf("left: %v", entries)
	}
	if err := unix.Mount("", s.Path("small"), "", unix.MS_REMOUNT, "size=64m"); err != nil { // room is made
		t.Fatal(err)
	}
	if _, err := s.Prepare(t.Context(), c); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.Mounts[0] = Want{Info: named("other", "/data"), Volume: Volume{Name: "other"}}
	if _, err := s.Prepare(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled one: %v", err)
	}
}

func TestAnonymous(t *testing.T) {
	s := store(t)
	want := Want{Info: project.MountInfo{Type: TypeVolume, Target: "/v", Anonymous: true}, Volume: Volume{Anonymous: true, Labels: map[string]string{"l": "1"}}}
	first := prepare(t, s, "c1", "", want).Infos[0]
	again := prepare(t, s, "c1", "", want).Infos[0]
	other := prepare(t, s, "c2", "", want).Infos[0]
	if first.Name != again.Name || first.Name == other.Name || len(first.Name) != 64 {
		t.Errorf("names: %s, %s, %s", first.Name, again.Name, other.Name)
	}
	v, err := s.Get(first.Name)
	if err != nil || !v.Anonymous || v.Project != "shop" || v.Labels["compose.anonymous"] != "true" || v.Labels["l"] != "1" {
		t.Errorf("recorded: %+v (%v)", v, err)
	}
	if err := s.Remove(t.Context(), first.Name); err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(t.Context(), "c1", "", []project.MountInfo{first}); err != nil {
		t.Errorf("restored after it was deleted: %v", err)
	}
	if err := s.Restore(t.Context(), "c1", "", []project.MountInfo{named("shop_gone", "/d")}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a named volume that is gone: %v", err)
	}
}

func TestBind(t *testing.T) {
	s, dir := store(t), t.TempDir()
	bind := func(source string, options ...string) Want {
		return Want{Key: "services.web.volumes[0]", Info: project.MountInfo{Type: TypeBind, Source: source, Target: "/b", Options: options}}
	}
	made := filepath.Join(dir, "a", "b")
	p := prepare(t, s, "c1", "", bind(made, "create"))
	if st, err := os.Stat(made); err != nil || !st.IsDir() || st.Mode().Perm() != 0o755 {
		t.Errorf("the missing source is %v (%v)", st, err)
	}
	if err := os.RemoveAll(filepath.Dir(made)); err != nil {
		t.Fatal(err)
	}
	if err := s.Restore(t.Context(), "c1", "", p.Infos); err != nil { // a later start makes it too
		t.Error(err)
	}
	_, err := s.Prepare(t.Context(), PrepareConfig{ContainerID: "c1", Mounts: []Want{bind(filepath.Join(dir, "gone"))}})
	if err == nil || err.Error() != "services.web.volumes[0]: bind source "+filepath.Join(dir, "gone")+" does not exist" {
		t.Errorf("got %v", err)
	}
	for _, tt := range []struct{ options, want, propagation string }{
		{"", "rbind rprivate", ""},
		{"ro", "rbind rprivate rro", ""},
		{"ro recursive=writable", "rbind rprivate ro", ""},
		{"ro recursive=readonly", "rbind rprivate rro", ""},
		{"recursive=disabled", "bind rprivate", ""},
		{"rslave", "rbind rslave", "rslave"},
		{"ro rshared", "rbind rshared ro", "rshared"},
	} {
		p := prepare(t, s, "c1", "", bind(dir, strings.Fields(tt.options)...))
		if got := strings.Join(p.Mounts[0].Options, " "); got != tt.want || p.Propagation != tt.propagation {
			t.Errorf("%s: %s, propagation %q", tt.options, got, p.Propagation)
		}
	}
}

// A folder inside a volume is mounted as it is found, whatever becomes of the
// way to it, and no link leads out of the volume.
func TestSubpath(t *testing.T) {
	s, outside := store(t), t.TempDir()
	v := create(t, s, Volume{Name: "v"})
	write(t, filepath.Join(s.Path("v"), "a", "b", "f"), "inside")
	write(t, filepath.Join(outside, "f"), "outside")
	for link, target := range map[string]string{"in": "a/b", "out": outside, "up": "../../.."} {
		if err := os.Symlink(target, filepath.Join(s.Path("v"), link)); err != nil {
			t.Fatal(err)
		}
	}
	for sub, want := range map[string]string{
		"a/b": "", "in": "", "a/b/f": "",
		"out": "leads out", "up": "leads out", "out/f": "leads out", "nothing": "no such file",
	} {
		p, err := s.Prepare(t.Context(), PrepareConfig{ContainerID: "c1", Mounts: []Want{{Info: named("v", "/d", "subpath="+sub), Volume: v}}})
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", sub, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", sub, err)
			continue
		}
		file := p.Mounts[0].Source
		if st, _ := os.Stat(file); st.IsDir() {
			file = filepath.Join(file, "f")
		}
		if b, _ := os.ReadFile(file); string(b) != "inside" {
			t.Errorf("%s: it has %q", sub, b)
		}
		if err := s.Restore(t.Context(), "c1", "", p.Infos); err != nil {
			t.Error(err)
		}
	}
	p := prepare(t, s, "c2", "", Want{Info: named("v", "/d", "subpath=a/b"), Volume: v})
	if err := os.Rename(filepath.Join(s.Path("v"), "a"), filepath.Join(s.Path("v"), "c")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(s.Path("v"), "a")); err != nil { // a container that races us
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(p.Mounts[0].Source, "f")); string(b) != "inside" {
		t.Errorf("led away: %q", b)
	}
	for range 2 {
		if err := s.RemoveFiles(t.Context(), "c2"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(s.root.Subpaths("c2")); err == nil {
		t.Error("the container's folder is left")
	}
	if b, _ := os.ReadFile(filepath.Join(s.Path("v"), "c", "b", "f")); string(b) != "inside" {
		t.Errorf("the volume's data are %q", b)
	}
}
