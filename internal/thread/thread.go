// Package thread runs what changes a thread for good, like the namespaces or
// the folders that it sees, on a thread that ends afterwards.
package thread

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Apart calls do on a thread of its own, which ends with it, and returns when
// do has. The first thread of a process cannot end: it would be kept as do has
// left it, with the namespaces it entered, and be what others see of the
// process in /proc. So it is never that one.
func Apart(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, but for the first thread: the thread ends with the goroutine
		if unix.Gettid() != os.Getpid() {
			do()
			return
		}
		Apart(do) // on another: this one is taken
		runtime.UnlockOSThread()
	}()
	<-done
}
