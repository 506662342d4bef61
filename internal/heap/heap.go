// Package heap lets the heap of a command grow further before it is collected
// than Go does. Most commands are over before the first collection then; with
// Go's own measure a ps of 30 containers spends a tenth of its time on them,
// and the first comes while libraries set themselves up, before main.
//
// Import it for that effect. It is set as the package is initialised: its path
// and its lack of imports place it before the libraries that allocate most.
package heap

import (
	"runtime"
	"runtime/debug"
)

// growth is in percent of what was in use after the last collection.
const growth = 400

// room is how large the heap may become in bytes before it is collected more
// often: no command needs as much, but a file can be made to.
const room = 160 << 20

// Nobody profiles the heap of a command or of the agent. The samples would stay
// for as long as the process lives, and an agent's soon are a tenth of its memory.
const profileRate = 0

func init() {
	runtime.MemProfileRate = profileRate
	debug.SetGCPercent(growth)
	debug.SetMemoryLimit(room)
}
