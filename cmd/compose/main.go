// Command compose brings the containers of a Compose project up on containerd,
// and down again.
//
// A file holds a command: its flags, its options, and one call. What commands
// share stands apart: app.go (streams, messages, display), root.go (global
// flags), wire.go (how the rooms are put together), perform.go (plans), exit.go
// (errors and exit codes).
package main

import (
	"os"

	"golang.org/x/sys/unix"

	_ "github.com/compose-first/compose/internal/heap"
)

// umask is that of all that is made: users in containers are to read the files
// and folders that compose makes for them, whatever the caller's own mask.
const umask = 0o022

func main() {
	unix.Umask(umask)
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
