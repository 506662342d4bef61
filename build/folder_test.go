package build

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"
	"golang.org/x/sys/unix"
)

// walked is a walk in one line an entry.
func walked(t *testing.T, f fsutil.FS, target string) string {
	t.Helper()
	var b strings.Builder
	err := f.Walk(t.Context(), target, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*fstypes.Stat)
		fmt.Fprintf(&b, "%s %s %v\n", p, d.Name(), st)
		return nil
	})
	if err != nil {
		return "error: " + err.Error()
	}
	return b.String()
}

// A folder without traps is walked just as fsutil itself does it.
func TestFolderWalk(t *testing.T) {
	dir := contents(t, "b/x/f", "1", "b.txt", "22", "a", "3", "b/link", "-> ../a", "empty/d/.keep", "")
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b", "hard")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(filepath.Join(dir, "a"), "user.x", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(dir, "b"), 3, 4); err != nil {
		t.Fatal(err)
	}
	want, err := fsutil.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	for _, target := range []string{"", "/", "b", "b/x", "b/link"} {
		if g, w := walked(t, got, target), walked(t, want, target); g != w || g == "" {
			t.Errorf("%q: got\n%s\nwant\n%s", target, g, w)
		}
	}
	if g := walked(t, got, "nothing"); !strings.HasPrefix(g, "error: ") {
		t.Errorf("what is not there: %s", g)
	}
}

func TestFolderLeadsNowhere(t *testing.T) {
	outside := contents(t, "secret", "x")
	dir := contents(t, "sub/f", "in", "out", "-> "+outside, "file", "-> "+filepath.Join(outside, "secret"))
	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, name := range []string{"out/secret", "file", "../" + filepath.Base(outside) + "/secret", filepath.Join(outside, "secret")} {
		if r, err := f.Open(name); err == nil {
			b, _ := io.ReadAll(r)
			r.Close()
			t.Errorf("%s was opened: %q", name, b)
		}
		if got := walked(t, f, name); strings.Contains(got, "secret secret") {
			t.Errorf("%s was walked:\n%s", name, got)
		}
	}
	// Somebody puts a link in the place of a folder while it is walked.
	err = f.Walk(t.Context(), "", func(p string, _ fs.DirEntry, _ error) error {
		if p == "sub" {
			if err := os.Rename(filepath.Join(dir, "sub"), filepath.Join(dir, "was")); err != nil {
				return err
			}
			return os.Symlink(outside, filepath.Join(dir, "sub"))
		}
		if strings.Contains(p, "secret") {
			t.Errorf("the walk was led to %s", p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Open("sub/secret"); err == nil {
		t.Error("the opening was led out")
	}
}

func TestFolderSkips(t *testing.T) {
	f, err := openFolder(contents(t, "a/1", "", "a/2", "", "b/1", "", "c", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, tt := range []struct {
		at   string
		with error
		want string
	}{
		{"a", fs.SkipDir, "a b b/1 c"},
		{"a/1", fs.SkipDir, "a a/1 b b/1 c"},
		{"b", fs.SkipAll, "a a/1 a/2 b"},
	} {
		var seen []string
		err := f.Walk(t.Context(), "", func(p string, _ fs.DirEntry, _ error) error {
			seen = append(seen, p)
			if p == tt.at {
				return tt.with
			}
			return nil
		})
		if got := strings.Join(seen, " "); got != tt.want || err != nil {
			t.Errorf("%v at %s: %s (%v)", tt.with, tt.at, got, err)
		}
	}
}
