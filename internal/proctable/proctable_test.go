package proctable

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	boot := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := boot.Add(200 * time.Second)
	stat := "42 (a) b (c) S 7 42 42 34817 42 0 0 0 0 0 500 500 0 0 20 0 1 0 10000 0 0"
	p, err := parseStat(stat, boot, now)
	if err != nil {
		t.Fatal(err)
	}
	if p.PID != 42 || p.PPID != 7 || p.TTY != "pts/1" || p.Time != 10*time.Second || p.CPU != 10 || p.Command != "[a) b (c]" {
		t.Errorf("got %+v", p)
	}
	if want := boot.Add(100 * time.Second); !p.Started.Equal(want) {
		t.Errorf("started %v, want %v", p.Started, want)
	}
	for _, garbled := range []string{"", "42", "42 (x) S 1", "x (y) " + strings.Repeat("1 ", 30)} {
		if _, err := parseStat(garbled, boot, now); err == nil {
			t.Errorf("%q is accepted", garbled)
		}
	}
}

func TestReadFindsThisProcess(t *testing.T) {
	all, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(p Process) bool { return p.PID == os.Getpid() })
	if i < 0 {
		t.Fatal("this process is not listed")
	}
	if p := all[i]; p.PPID != os.Getppid() || !strings.Contains(p.Command, ".test") || len(p.Columns()) != len(Headers) {
		t.Errorf("got %+v", p)
	}
}

func TestIn(t *testing.T) {
	all := Table{
		{PID: 1, groups: "3:cpu:/\n0::/\n"},
		{PID: 2, groups: "3:cpu:/compose/abc\n0::/compose/abc\n"},
		{PID: 3, groups: "0::/compose/abc/child\n"},
		{PID: 4, groups: "0::/compose/abcd\n"},
	}
	var pids []int
	for _, p := range all.In("abc") {
		pids = append(pids, p.PID)
	}
	if !slices.Equal(pids, []int{2, 3}) {
		t.Errorf("got %v", pids)
	}
}
