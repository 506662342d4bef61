package enginetest

import (
	"os"
	"strings"
)

// Fuzzing reports whether this test binary runs a fuzz target. These read
// texts alone: the many processes of a fuzzer need no engine each.
func Fuzzing() bool {
	for _, arg := range os.Args[1:] {
		if strings.HasPrefix(arg, "-test.fuzz=") && arg != "-test.fuzz=" || strings.HasPrefix(arg, "-test.fuzzworker") {
			return true
		}
	}
	return false
}
