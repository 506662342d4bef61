package engine

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// A note is told of once nobody is at it any more, until its act is whole.
func TestUnfinished(t *testing.T) {
	id := NewID()
	end, err := shared.Begin(id)
	if err != nil {
		t.Fatal(err)
	}
	told := func(err error) bool {
		var ids []string
		_ = shared.Unfinished(t.Context(), func(_ context.Context, id string) error { // err itself
			ids = append(ids, id)
			return err
		})
		return slices.Contains(ids, id)
	}
	if told(nil) {
		t.Error("told while it is under way")
	}
	end(false)
	if !told(errors.New("not yet")) {
		t.Error("not told after it was given up")
	}
	if !told(nil) {
		t.Error("not told again after a removal failed")
	}
	if told(nil) {
		t.Error("told after the removal")
	}
}
