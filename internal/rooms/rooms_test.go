package rooms

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestWallsHold(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipped(root, path, entry)
		}
		if !strings.HasSuffix(path, ".go") || filepath.Dir(path) == root {
			return nil
		}
		files++
		checkFile(t, root, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Errorf("only %d files were found below %s", files, root)
	}
}

// skipped leaves out hidden folders, test data and other modules.
func skipped(root, path string, entry fs.DirEntry) error {
	if path == root {
		return nil
	}
	if strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

func checkFile(t *testing.T, root, path string) {
	t.Helper()
	positions := token.NewFileSet()
	file, err := parser.ParseFile(positions, path, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	from, err := filepath.Rel(root, filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range file.Imports {
		to, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Error(err)
			continue
		}
		if why := Breach(from, to, strings.HasSuffix(path, "_test.go")); why != "" {
			t.Errorf("%s: imports %s: %s", positions.Position(spec.Pos()), to, why)
		}
	}
}

func TestBreach(t *testing.T) {
	for _, tt := range []struct {
		name, from, to string
		test           bool
		breach         bool
	}{
		{"a room imports itself", "netplan", Module + "/netplan/dns", false, false},
		{"a room imports what it may", "engine", Module + "/project", false, false},
		{"engine and netplan never meet", "engine", Module + "/netplan", false, true},
		{"not even in a test", "engine", Module + "/netplan", true, true},
		{"nor from a folder below", "netplan/dns", Module + "/engine", false, true},
		{"the agent does not build", "agent", Module + "/build", false, true},
		{"nobody imports commands", "host", Module + "/cmd/compose", false, true},
		{"internal knows no room", "internal/progress", Module + "/scheduler", false, true},
		{"a new room must be named", "novelty", Module + "/project", false, true},
		{"Compose files are read in project", "project", "github.com/compose-spec/compose-go/v2/loader", false, false},
		{"and nowhere else", "engine", "github.com/compose-spec/compose-go/v2/loader", false, true},
		{"their types are plain values", "engine", "github.com/compose-spec/compose-go/v2/types", false, false},
		{"a test may use any library", "engine", "github.com/vishvananda/netlink", true, false},
		{"the bundle speaks with BuildKit", "internal/bundle", "github.com/moby/buildkit/client", false, false},
		{"its neighbours do not", "internal/layout", "github.com/moby/buildkit/client", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if why := Breach(tt.from, tt.to, tt.test); (why != "") != tt.breach {
				t.Errorf("got %q, want a breach: %t", why, tt.breach)
			}
		})
	}
}
