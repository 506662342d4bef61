package volumes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/layout"
)

// store is a store with a root of its own, on which nothing is left mounted.
func store(t *testing.T) *Store {
	t.Helper()
	dir := t.TempDir()
	s := OpenStore(layout.Root{State: filepath.Join(dir, "lib"), Run: filepath.Join(dir, "run")})
	t.Cleanup(func() {
		if err := s.Unmount(); err != nil {
			t.Error(err)
		}
		if left, err := mountsBelow(dir); err != nil || len(left) > 0 {
			t.Errorf("still mounted: %v (%v)", left, err)
		}
	})
	return s
}

func create(t *testing.T, s *Store, v Volume) Volume {
	t.Helper()
	v, err := s.Create(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func listed(t *testing.T, s *Store) string {
	t.Helper()
	all, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range all {
		names = append(names, v.Name)
	}
	return strings.Join(names, " ")
}

func TestCreate(t *testing.T) {
	s := store(t)
	if got := listed(t, s); got != "" {
		t.Errorf("a new store has %s", got)
	}
	v := create(t, s, Volume{Name: "shop_data", Key: "data", Project: "shop", ConfigHash: "h", Labels: map[string]string{"a": "b"}})
	if got := fmt.Sprint(v.Labels); got != "map[a:b com.docker.compose.config-hash:h com.docker.compose.project:shop]" {
		t.Errorf("labels: %s", got)
	}
	write(t, filepath.Join(s.Path("shop_data"), "f"), "kept")
	again := create(t, s, Volume{Name: "shop_data", ConfigHash: "other"})
	if again.ConfigHash != "h" || !again.Created.Equal(v.Created) {
		t.Errorf("the second creation changed it: %+v", again)
	}
	if b, _ := os.ReadFile(filepath.Join(s.Path("shop_data"), "f")); string(b) != "kept" {
		t.Errorf("data: %q", b)
	}
	for _, name := range []string{"", "..", "../x", "a/b", ".x", strings.Repeat("x", 256)} {
		if _, err := s.Create(t.Context(), Volume{Name: name}); err == nil {
			t.Errorf("%q was created", name)
		}
		if err := s.Remove(t.Context(), name); err == nil {
			t.Errorf("%q was removed", name)
		}
	}
	if _, err := s.Create(t.Context(), Volume{Name: "theirs", External: true}); !errors.Is(err, ErrNotFound) {
		t.Errorf("an external volume: %v", err)
	}
}

func TestCreateAtOnce(t *testing.T) {
	s := store(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := s.Create(t.Context(), Volume{Name: "one"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	entries, err := os.ReadDir(s.root.Volumes())
	if err != nil || len(entries) != 1 {
		t.Errorf("there is %v (%v)", entries, err)
	}
}

func TestRemove(t *testing.T) {
	s := store(t)
	create(t, s, Volume{Name: "a"})
	create(t, s, Volume{Name: "b"})
	write(t, filepath.Join(s.Path("a"), "deep", "f"), "x")
	if err := s.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, s); got != "b" {
		t.Errorf("left: %s", got)
	}
	if err := s.Remove(t.Context(), "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the second time: %v", err)
	}
	if _, err := s.Get("a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("it is still known: %v", err)
	}
	entries, _ := os.ReadDir(s.root.Volumes())
	if len(entries) != 1 {
		t.Errorf("left over: %v", entries)
	}
}

// What a killed process left half made or half removed goes at the next listing.
func TestListSweeps(t *testing.T) {
	s := store(t)
	create(t, s, Volume{Name: "a"})
	write(t, filepath.Join(s.root.Volumes(), tmpPrefix+"dead", dataDir, "f"), "x")
	busy := filepath.Join(s.root.Volumes(), tmpPrefix+"busy")
	write(t, filepath.Join(busy, "f"), "x")
	hold, err := tryLock(busy)
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	if got := listed(t, s); got != "a" {
		t.Errorf("listed: %s", got)
	}
	entries, _ := os.ReadDir(s.root.Volumes())
	if len(entries) != 2 || entries[0].Name() != tmpPrefix+"busy" {
		t.Errorf("there is %v", entries)
	}
}

func TestGarbledRecord(t *testing.T) {
	for name, garble := range map[string]func(path string) error{
		"truncated":       func(path string) error { return os.WriteFile(path, []byte(`{"name": "b`), 0o600) },
		"empty":           func(path string) error { return os.Truncate(path, 0) },
		"gone":            os.Remove,
		"another's":       func(path string) error { return os.WriteFile(path, []byte(`{"name": "a"}`), 0o600) },
		"not even a file": func(path string) error { return errors.Join(os.Remove(path), os.MkdirAll(path+".x", 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := store(t)
			create(t, s, Volume{Name: "a"})
			create(t, s, Volume{Name: "b"})
			write(t, filepath.Join(s.Path("b"), "f"), "kept")
			record := filepath.Join(s.dir("b"), recordFile)
			if err := garble(record); err != nil {
				t.Fatal(err)
			}
			if got := listed(t, s); got != "a b" {
				t.Errorf("with a copy: %s", got)
			}
			if r, err := readRecord(s.dir("b"), recordFile, "b"); err != nil || r.Name != "b" {
				t.Errorf("mended from its copy: %v, %v", r, err)
			}
			if err := errors.Join(garble(record), garble(filepath.Join(s.dir("b"), copyFile))); err != nil {
				t.Fatal(err)
			}
			all, err := s.List()
			if len(all) != 1 || all[0].Name != "a" || err == nil || !strings.Contains(err.Error(), record) {
				t.Errorf("listed %v, %v", all, err)
			}
			if _, err := s.Get("b"); err == nil || errors.Is(err, ErrNotFound) {
				t.Errorf("got %v", err)
			}
			create(t, s, Volume{Name: "b", Project: "shop"})
			if b, _ := os.ReadFile(filepath.Join(s.Path("b"), "f")); string(b) != "kept" {
				t.Errorf("mended, it has %q", b)
			}
			if got := listed(t, s); got != "a b" {
				t.Errorf("mended: %s", got)
			}
		})
	}
}

// A device is mounted when it is needed, again after a reboot, and removing
// the volume never reaches through it.
func TestDevice(t *testing.T) {
	s := store(t)
	theirs := t.TempDir()
	write(t, filepath.Join(theirs, "precious"), "x")
	bind := Volume{Name: "bind", Options: map[string]string{"type": "none", "o": "bind", "device": theirs}}
	tmpfs := Volume{Name: "tmpfs", Options: map[string]string{"type": "tmpfs", "o": "size=4m,nodev,uid=7", "device": "tmpfs"}}
	for _, v := range []Volume{bind, tmpfs} {
		create(t, s, v)
		if mounted, _ := isMountpoint(s.Path(v.Name)); mounted {
			t.Errorf("%s is mounted before it is needed", v.Name)
		}
	}
	infos := prepare(t, s, "c1", "", Want{Info: named("bind", "/b"), Volume: bind}, Want{Info: named("tmpfs", "/t"), Volume: tmpfs}).Infos
	for range 2 {
		if _, err := os.Stat(filepath.Join(s.Path("bind"), "precious")); err != nil {
			t.Error(err)
		}
		var st unix.Statfs_t
		if err := unix.Statfs(s.Path("tmpfs"), &st); err != nil || st.Type != unix.TMPFS_MAGIC || st.Blocks*uint64(st.Bsize) != 4<<20 {
			t.Errorf("the tmpfs is %+v (%v)", st, err)
		}
		if err := s.Unmount(); err != nil { // as a reboot does
			t.Fatal(err)
		}
		if err := s.Restore(t.Context(), "c1", "", infos); err != nil {
			t.Fatal(err)
		}
		if below, _ := mountsBelow(s.root.Volumes()); len(below) != 2 {
			t.Errorf("mounted: %v", below)
		}
	}
	for _, name := range []string{"bind", "tmpfs"} {
		if err := s.Remove(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(theirs, "precious")); err != nil {
		t.Error(err)
	}
}

func TestDeviceThatFails(t *testing.T) {
	s := store(t)
	v := Volume{Name: "nas", Options: map[string]string{"type": "none", "o": "bind", "device": filepath.Join(t.TempDir(), "gone")}}
	_, err := s.Prepare(t.Context(), PrepareConfig{ContainerID: "c1", Mounts: []Want{{Key: "services.web.volumes[0]", Info: named("nas", "/n"), Volume: v}}})
	if err == nil || !strings.Contains(err.Error(), "services.web.volumes[0]: mount volume nas: device ") || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
	v.Options = map[string]string{"type": "tmpfs", "o": "nonsense", "device": "x"}
	v.Name = "bad"
	if _, err := s.Prepare(t.Context(), PrepareConfig{ContainerID: "c1", Mounts: []Want{{Info: named("bad", "/n"), Volume: v}}}); err == nil {
		t.Error("nonsense was mounted")
	}
}

func TestAddrBecomesAnAddress(t *testing.T) {
	words, err := mountWords(context.Background(), map[string]string{"o": "addr=localhost,rw"})
	if err != nil || !slices.Contains([]string{"addr=127.0.0.1 rw", "addr=::1 rw"}, strings.Join(words, " ")) {
		t.Errorf("got %v, %v", words, err)
	}
}

func TestRemoveWaitsForALockUntilTheContextEnds(t *testing.T) {
	s := store(t)
	create(t, s, Volume{Name: "a"})
	hold, err := s.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Remove(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	removed := make(chan error)
	go func() { removed <- s.Remove(t.Context(), "a") }()
	hold.Close()
	if err := <-removed; err != nil {
		t.Error(err)
	}
}
