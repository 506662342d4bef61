package project

import (
	"errors"
	"fmt"
)

// What the files of a project may ask for at most. All of it is far above what
// people write, and low enough that a file made to exhaust the machine is
// refused within two seconds and 256 MiB, before any part of it is worked on
// that costs more than its length.
const (
	maxFileSize  = 2 << 20   // bytes of a Compose file
	maxEnvSize   = 512 << 10 // bytes of an env or label file
	maxMarks     = 150_000   // characters of a file that make YAML nodes
	maxNodes     = 100_000   // of all documents, aliases and extends spelled out; compose-go's own limit for one
	maxDocuments = 100       // in all files together
	maxDepth     = 100       // of lists and mappings in each other
	maxFiles     = 500       // with those included and extended
	maxIncludes  = 50        // files that include or extend one another in a chain
	maxExtends   = 50        // services that extend one another in a chain
	maxNesting   = 50        // of variables in one another's defaults
	maxVariables = 50_000    // places where a variable is put in
	maxExpanded  = 8 << 20   // bytes that variables put in
	maxPorts     = 20_000    // published or exposed, ranges spelled out
	maxReplicas  = 10_000    // of a service
	maxErrorText = 600       // bytes of an error's text
)

// spent counts what the files of one project have asked for so far.
type spent struct {
	files, documents, nodes, variables, expanded, ports int
}

// errTooMuch is in the chain of all errors about a limit.
var errTooMuch = errors.New("too much")

func tooMuch(format string, args ...any) error {
	return &limitError{fmt.Sprintf(format, args...)}
}

type limitError struct{ msg string }

func (e *limitError) Error() string { return e.msg }
func (e *limitError) Unwrap() error { return errTooMuch }

// clip shortens the text of an error that quotes a file at length.
func clip(s string) string {
	if len(s) <= maxErrorText {
		return s
	}
	const half = maxErrorText / 2
	return fmt.Sprintf("%s … (%d bytes left out) … %s", s[:half], len(s)-2*half, s[len(s)-half:])
}
