package engine

import (
	"slices"
	"testing"
)

// A shim that has lost its container is found and ended; those of containers
// are not, whether these run, have ended or share one.
func TestIdleShim(t *testing.T) {
	group := func(cfg *CreateConfig) { cfg.ShimGroup = NewID() }
	var used []container
	for _, c := range []container{
		create(t, shell("sleep 100")), create(t, shell("sleep 100"), group), create(t, shell("true")),
	} {
		standIn(t, c.id)
		c.start()
		used = append(used, c)
	}
	if _, err := shared.Wait(t.Context(), used[2].id); err != nil { // ended, and nobody has settled it
		t.Fatal(err)
	}
	lost := create(t, shell("true")).id
	serving := servingShim(t, lost)

	found := idle(t)
	if want := []IdleShim{{serving.Process, lost}}; !slices.Equal(found, want) {
		t.Fatalf("found %v, want %v", found, want)
	}
	for range 2 { // again, it is no error
		if err := shared.EndIdleShim(t.Context(), found[0]); err != nil {
			t.Fatal(err)
		}
	}
	if serving.Alive() {
		t.Error("it is alive")
	}
	if found := idle(t); len(found) > 0 {
		t.Errorf("still found: %v", found)
	}
	for _, c := range used[:2] {
		if state := inspect(t, c.id).State; state != StateRunning {
			t.Errorf("%s is %s", short(c.id), state)
		}
	}
}

func idle(t *testing.T) []IdleShim {
	t.Helper()
	found, err := shared.IdleShims(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A shim that is on its way out, or that a container is just coming to, is not
// taken to have lost its container.
func TestComingAndGoingShimsAreNotIdle(t *testing.T) {
	looked, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(looked)
		for {
			if found, err := shared.IdleShims(t.Context()); err != nil || len(found) > 0 {
				t.Errorf("found %v, %v", found, err)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	for range 5 {
		c := create(t, shell("true"))
		c.start()
		if err := shared.Remove(t.Context(), c.id); err != nil {
			t.Error(err)
		}
	}
	close(done)
	<-looked
}
