package buildid

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A program has its ID wherever it lies, and another build of the same source
// has another one.
func TestBuildsDiffer(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nvar Word string\n\nfunc main() { println(Word) }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	build := func(name string, flags ...string) string {
		path := filepath.Join(dir, name)
		cmd := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), source)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return path
	}
	of := func(path string) string {
		id, err := Of(path)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	one, same, other := of(build("one")), of(build("same")), of(build("other", "-ldflags=-X main.Word=other"))
	if one != same {
		t.Errorf("%s and %s of one build", one, same)
	}
	if one == other || len(one) != length {
		t.Errorf("%q and %q of two builds", one, other)
	}
	if id, err := Of(build("none", "-ldflags=-buildid=")); err == nil {
		t.Errorf("%q of a program without one", id)
	}
	if id, err := Of(source); err == nil {
		t.Errorf("%q of no program", id)
	}
}

func TestOwn(t *testing.T) {
	if id, err := Of(os.Args[0]); err != nil || Own() != id {
		t.Errorf("%q, want %q, %v", Own(), id, err)
	}
}

func BenchmarkOf(b *testing.B) {
	for b.Loop() {
		if _, err := Of("/proc/self/exe"); err != nil {
			b.Fatal(err)
		}
	}
}
