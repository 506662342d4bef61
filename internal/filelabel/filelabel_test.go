package filelabel

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	own   = "system_u:object_r:container_file_t:s0:c12,c345"
	other = "system_u:object_r:container_ro_file_t:s0"
)

func TestShared(t *testing.T) {
	for _, tt := range []struct{ name, label, want string }{
		{"without its categories", own, "system_u:object_r:container_file_t:s0"},
		{"it is shared already", "system_u:object_r:container_file_t:s0", "system_u:object_r:container_file_t:s0"},
		{"a policy without levels", "system_u:object_r:container_file_t", "system_u:object_r:container_file_t"},
		{"none", "", ""},
		{"no label at all", "nonsense", `label "nonsense": invalid Label`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Shared(tt.label)
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// files makes a tree in a folder: a/b/file, a link to a folder outside, a link
// that leads nowhere, a pipe.
func files(t *testing.T) (top, outside string) {
	t.Helper()
	dir := t.TempDir()
	top, outside = filepath.Join(dir, "top"), filepath.Join(dir, "outside")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(top, "a", "b"), 0o755),
		os.MkdirAll(outside, 0o755),
		os.WriteFile(filepath.Join(top, "a", "b", "file"), nil, 0o600),
		os.WriteFile(filepath.Join(outside, "file"), nil, 0o600),
		os.Symlink(outside, filepath.Join(top, "out")),
		os.Symlink("nowhere", filepath.Join(top, "a", "broken")),
		unix.Mkfifo(filepath.Join(top, "pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return top, outside
}

func checkLabels(t *testing.T, want string, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if got := Of(path); got != want {
			t.Errorf("%s has label %q, want %q", path, got, want)
		}
	}
}

func TestTree(t *testing.T) {
	top, outside := files(t)
	before := Of(outside)
	if err := Tree(t.Context(), top, own); err != nil {
		t.Fatal(err)
	}
	for _, below := range []string{"", "a", "a/b", "a/b/file", "a/broken", "out", "pipe"} {
		checkLabels(t, own, filepath.Join(top, below))
	}
	checkLabels(t, before, outside, filepath.Join(outside, "file"))

	t.Run("a link at the top is followed", func(t *testing.T) {
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(outside, link); err != nil {
			t.Fatal(err)
		}
		before := Of(link)
		if err := Tree(t.Context(), link, own); err != nil {
			t.Fatal(err)
		}
		checkLabels(t, own, outside, filepath.Join(outside, "file"))
		checkLabels(t, before, link)
	})
	t.Run("of one that was not finished the top shows it", func(t *testing.T) {
		top, _ := files(t)
		before := Of(top)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Tree(ctx, top, own); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		checkLabels(t, before, top)
	})
	t.Run("no label changes nothing", func(t *testing.T) {
		if err := Tree(t.Context(), top, ""); err != nil {
			t.Fatal(err)
		}
		checkLabels(t, own, top, filepath.Join(top, "a"))
	})
	t.Run("a file", func(t *testing.T) {
		file := filepath.Join(outside, "file")
		if err := Tree(t.Context(), file, other); err != nil {
			t.Fatal(err)
		}
		checkLabels(t, other, file)
		checkLabels(t, own, outside)
	})
	t.Run("a file system without labels", func(t *testing.T) {
		if err := Tree(t.Context(), "/proc/self/net", own); err != nil {
			t.Error(err)
		}
	})
}

// Somebody who exchanges a folder for a link to another, as a container may do
// with what is mounted, has nothing labelled there.
func TestTreeIsNotLedOutByARace(t *testing.T) {
	const rounds = 300
	top, outside := files(t)
	folder, link := filepath.Join(top, "a"), filepath.Join(top, "out")
	if err := os.WriteFile(filepath.Join(outside, "b"), nil, 0o600); err != nil { // a name that both have
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	exchanged := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := unix.Renameat2(unix.AT_FDCWD, folder, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE); err != nil {
				exchanged <- err
				return
			}
		}
		exchanged <- nil
	}()
	before := Of(outside)
	for i := range rounds {
		if err := Tree(t.Context(), top, []string{own, other}[i%2]); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-exchanged; err != nil {
		t.Fatal(err)
	}
	checkLabels(t, before, outside, filepath.Join(outside, "file"), filepath.Join(outside, "b"))
}

// What the system needs keeps its label, by whatever way it is named.
func TestGuarded(t *testing.T) {
	t.Setenv("HOME", "/srv/me")
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/usr/lib", link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, keeper string }{
		{"/", "/"}, {"/usr/", "/usr"}, {"/etc", "/etc"}, {"/home", "/home"}, {"/home/anybody", "/home/anybody"}, {"/srv/me", "/srv/me"},
		{"/var/lib/../log", "/var/log"}, {link, "/usr/lib"}, {link + "/../share", "/usr/share"},
		{dir, ""}, {"/home/anybody/project", ""}, {"/srv/me/project", ""}, {"/usr/lib/none/such", ""}, {dir + "/none", ""},
	} {
		err := Guarded(tt.path)
		switch {
		case tt.keeper == "" && err != nil:
			t.Errorf("%s: %v", tt.path, err)
		case tt.keeper != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.keeper+" must keep the SELinux label")):
			t.Errorf("%s: %v, want %s to be kept", tt.path, err, tt.keeper)
		}
	}
	before := Of("/usr/lib")
	if err := Host(t.Context(), link, own); err == nil {
		t.Error("Host labels it")
	}
	checkLabels(t, before, "/usr/lib", "/usr/lib/locale")
}
