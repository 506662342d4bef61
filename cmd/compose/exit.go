package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/compose-first/compose/internal/progress"
)

// Exit codes.
// Source: docker compose, which ends every failure with 1; 128 + SIGINT is
// the shell's.
const (
	codeFailure     = 1
	codeInterrupted = 130
)

// exitError ends the command with a code. err is nil where the code says all,
// as with the code of a container's process.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitWith is the error of a container's exit code, nil for 0.
func exitWith(code int) error {
	if code == 0 {
		return nil
	}
	return &exitError{code: code}
}

// errInterrupted is the cause of a context that a signal ended.
var errInterrupted = &exitError{code: codeInterrupted}

// exit writes err, once, as the last line of standard error, and returns the
// exit code that it stands for.
func (a *app) exit(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	if context.Cause(ctx) == errInterrupted {
		return codeInterrupted
	}
	code, text := codeFailure, err.Error()
	if e := (*exitError)(nil); errors.As(err, &e) {
		code = e.code
		if e.err == nil {
			return code
		}
	}
	text = strings.TrimRight(text, "\n")
	if a.mode == progress.JSON {
		progress.WriteJSONError(a.err, text)
		return code
	}
	fmt.Fprintln(a.err, text)
	return code
}
