package project

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoFile means that neither options, environment nor folders name a
// Compose file.
var ErrNoFile = errors.New("no configuration file provided: not found")

// ErrNoService means that a service is not in the files.
var ErrNoService = errors.New("no such service")

// Error is a fault in the files or options of a project. Fields that are not
// known are zero.
type Error struct {
	File    string // as it was opened; "-" is standard input
	Line    int    // from 1
	Column  int    // from 1; of YAML that cannot be read
	Service string
	Key     string // dotted path below the service, or from the top without one
	Msg     string // whole, names service and key where they are known

	cause error
}

// Error returns "FILE:LINE:COLUMN: MSG" as far as they are known.
func (e *Error) Error() string {
	file := e.File
	if file == "-" {
		file = "standard input"
	}
	switch {
	case file == "" || e.Line == 0 && strings.Contains(e.Msg, file):
		return e.Msg
	case e.Line == 0:
		return fmt.Sprintf("%s: %s", file, e.Msg)
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %s", file, e.Line, e.Msg)
	default:
		return fmt.Sprintf("%s:%d:%d: %s", file, e.Line, e.Column, e.Msg)
	}
}

// Unwrap returns the error that this one explains.
func (e *Error) Unwrap() error { return e.cause }

// noService is the error for a service that the files do not have.
func noService(name string) error {
	return &Error{Service: name, Msg: fmt.Sprintf("%v: %s", ErrNoService, name), cause: ErrNoService}
}
