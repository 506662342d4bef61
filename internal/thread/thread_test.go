package thread

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// What begins on the first thread: main is held on it until TestMain.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	runtime.UnlockOSThread()
	fromFirst = apartFromFirst()
	os.Exit(m.Run())
}

// fromFirst are the threads that Apart used while a goroutine of the first
// thread was waiting for it, and nothing else was there to run on that.
var fromFirst []int

func apartFromFirst() (threads []int) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for range 100 {
		Apart(func() { threads = append(threads, unix.Gettid()) })
	}
	return threads
}

func TestNeverOnTheFirstThread(t *testing.T) {
	if len(fromFirst) != 100 {
		t.Fatalf("done %d times", len(fromFirst))
	}
	for _, thread := range fromFirst {
		if thread == os.Getpid() {
			t.Fatal("it was done on the first thread")
		}
	}
}

func TestTheThreadEnds(t *testing.T) {
	var changed int
	Apart(func() { changed = unix.Gettid() })
	for unix.Tgkill(os.Getpid(), changed, 0) == nil { // it is on its way out
		runtime.Gosched()
	}
}
