package volumes

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/compose-first/compose/internal/layout"
)

// FuzzRecord reads the record of a volume, whatever is in it: what is read is
// that of the volume asked for, and is the same when it is written and read again.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"name":"shop_data","driver":"local","labels":{"a":"b"},"created":"2026-01-02T12:00:00Z"}`))
	f.Add([]byte(`{"name":"../../etc"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		s := &Store{root: layout.Root{State: dir, Run: dir}}
		if err := os.MkdirAll(s.dir("shop_data"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.dir("shop_data"), recordFile), content, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := s.read("shop_data")
		if err != nil {
			return
		}
		if r.Name != "shop_data" {
			t.Errorf("it names %q", r.Name)
		}
		if err := writeRecord(s.dir("shop_data"), r); err != nil {
			t.Fatal(err)
		}
		if _, err := s.read("shop_data"); err != nil {
			t.Errorf("%q is read once and not again: %v", content, err)
		}
	})
}
