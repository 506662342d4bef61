package logger

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/compose-first/compose/internal/layout"
)

// FuzzRecover starts a logger with whatever notes and spool the one before has
// left: it comes up, or says why not, and touches nothing that is not of the
// container it was told of.
func FuzzRecover(f *testing.F) {
	var n notes
	copy(n.boot[:], layout.BootID())
	n.valid, n.note[0] = 1, note{Offset: 2, LogSize: 3}
	copy(n.note[0].ID[:], "abc")
	f.Add(bytesOf(&n), []byte("..one\ntwo"))
	n.note[0].Offset = -1 << 60
	f.Add(bytesOf(&n), []byte("one\n"))
	n.note[0] = note{LogSize: -1}
	copy(n.note[0].ID[:], "../../outside")
	f.Add(bytesOf(&n), []byte("one\n"))
	n.valid = 1 << 31
	f.Add(bytesOf(&n), []byte{})
	f.Add([]byte{}, []byte{0})
	f.Fuzz(func(t *testing.T, shared, spooled []byte) {
		dir := t.TempDir()
		root := rootIn(filepath.Join(dir, "engine"))
		for _, d := range []string{root.State, root.Run, filepath.Dir(root.LoggerSpool()), filepath.Dir(root.LoggerState()), root.Container("abc")} {
			if err := os.MkdirAll(d, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for path, content := range map[string][]byte{root.LoggerState(): shared, root.LoggerSpool(): spooled, root.ContainerLog("abc"): []byte("logged")} {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := openSpool(root)
		if err != nil {
			return
		}
		l := &logger{root: root, spool: s, log: slog.New(slog.DiscardHandler)}
		_ = l.recover()
		s.close()
		all, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(all) != 1 || strings.Contains(strings.Join(all, ""), "outside") {
			t.Errorf("%q, %v", all, err)
		}
	})
}

func bytesOf(n *notes) []byte {
	return append([]byte(nil), (*[unsafe.Sizeof(notes{})]byte)(unsafe.Pointer(n))[:]...)
}
