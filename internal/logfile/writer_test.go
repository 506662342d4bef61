package logfile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRepair(t *testing.T) {
	const whole = "2026-01-02T12:00:00.000000005Z stdout F a\n"
	for _, tt := range []struct{ name, content, want string }{
		{"an empty log", "", ""},
		{"a whole one", whole, whole},
		{"a line cut in its text", whole + "2026-01-02T12:00:00.000000005Z stderr F b", whole + "2026-01-02T12:00:00.000000005Z stderr P b\n"},
		{"a line cut in its head", whole + "2026-01-02T12:00", whole},
		{"the very first", "2026-01-02T", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			w, err := OpenWriter(path, 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if err := w.Write([]byte(whole)); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil || string(got) != tt.want+whole {
				t.Errorf("got %q, %v, want %q", got, err, tt.want+whole)
			}
		})
	}
}

func TestRotateKeeps(t *testing.T) {
	for _, tt := range []struct {
		name string
		keep int
		want []string // files after five rotations, with what each has
	}{
		{"only the current one", 1, []string{"log="}},
		{"three", 3, []string{"log=", "log.1=e", "log.2=d"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			w, err := OpenWriter(filepath.Join(dir, "log"), 10, tt.keep)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			for _, s := range []string{"a", "b", "c", "d", "e"} {
				if err := w.Write([]byte(s)); err != nil {
					t.Fatal(err)
				}
				if err := w.Rotate(); err != nil {
					t.Fatal(err)
				}
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != len(tt.want) {
				t.Fatalf("files %v, %v", entries, err)
			}
			for i, e := range entries {
				b, _ := os.ReadFile(filepath.Join(dir, e.Name()))
				if got := e.Name() + "=" + string(b); got != tt.want[i] {
					t.Errorf("got %s, want %s", got, tt.want[i])
				}
			}
		})
	}
}
