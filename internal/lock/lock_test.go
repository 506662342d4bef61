package lock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Locks of two open files exclude each other within one process too, so that
// a second Take here stands for another command.
func TestTakeWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "locks", "project-shop.lock")
	first, err := Take(t.Context(), path, "compose up", nil)
	if err != nil {
		t.Fatal(err)
	}
	told, taken := make(chan Holder, 1), make(chan error, 1)
	go func() {
		second, err := Take(context.Background(), path, "compose down", func(h Holder) { told <- h })
		if err == nil {
			second.Release()
		}
		taken <- err
	}()
	want := Holder{PID: strconv.Itoa(os.Getpid()), Command: "compose up"}
	if h := <-told; h != want {
		t.Errorf("waits for %v, want %v", h, want)
	}
	select {
	case <-taken:
		t.Fatal("two have the lock")
	default:
	}
	first.Release()
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
}

func TestTakeGivesUpWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Take(t.Context(), path, "compose up", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Release()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Take(ctx, path, "compose down", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// A lock file that a killed process left behind stops nobody.
func TestTakeAfterAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(path, []byte("1 compose up\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Take(t.Context(), path, "compose down", func(h Holder) { t.Errorf("waits for %v", h) })
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
}

// Those who share a lock keep out only who wants it alone.
func TestShare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Share(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Share(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	first.Release()
	if l, err := Try(path, "compose up"); err == nil {
		l.Release()
		t.Error("a shared lock was taken")
	}
	second.Release()
	alone, err := Try(path, "compose up")
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Release()
	short, cancel := context.WithTimeout(t.Context(), 2*lastRetry)
	defer cancel()
	if l, err := Share(short, path); err == nil {
		l.Release()
		t.Error("a taken lock was shared")
	}
}

// Whoever waits for a lock keeps no thread.
func TestWaitersKeepNoThreads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Take(t.Context(), path, "compose down", nil)
	if err != nil {
		t.Fatal(err)
	}
	const many = 100
	var waiting, done sync.WaitGroup
	waiting.Add(many)
	before := pprof.Lookup("threadcreate").Count()
	for range many {
		done.Go(func() {
			l, err := Take(t.Context(), path, "compose agent", func(Holder) { waiting.Done() })
			if err != nil {
				t.Error(err)
				return
			}
			l.Release()
		})
	}
	waiting.Wait()
	if made := pprof.Lookup("threadcreate").Count() - before; made > many/4 {
		t.Errorf("%d goroutines that wait have made %d threads", many, made)
	}
	first.Release()
	done.Wait()
}
