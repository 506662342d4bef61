// Command compose brings the containers of a Compose project up on containerd,
// and down again.
//
// A file holds a command: its flags, its options, and one call. What commands
// share stands apart: app.go (streams, messages, display), root.go (global
// flags), wire.go (how the rooms are put together), run.go (plans), exit.go
// (errors and exit codes).
package main

import "os"

func main() {
	os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
