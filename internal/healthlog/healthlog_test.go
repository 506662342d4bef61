package healthlog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "health", "a.json")
	if l, err := Read(path); err != nil || len(l.Log) > 0 {
		t.Errorf("without a file: %+v, %v", l, err)
	}
	l := Log{Status: "unhealthy", FailingStreak: 7}
	for i := range 7 {
		l.Add(Probe{ExitCode: i, Output: strings.Repeat("x", MaxOutput+i)})
	}
	if err := Write(path, l); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil || got.Status != l.Status || got.FailingStreak != 7 || len(got.Log) != MaxProbes ||
		got.Log[0].ExitCode != 2 || got.Log[4].ExitCode != 6 || len(got.Log[4].Output) != MaxOutput {
		t.Errorf("got %+v, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", info, err)
	}
}

func TestGarbled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	if err := os.WriteFile(path, []byte(`{"Status":"hea`), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Read(path); err == nil || l.Status != "" {
		t.Errorf("got %+v, %v", l, err)
	}
}
