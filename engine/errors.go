package engine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"google.golang.org/grpc/status"
)

// The classes of error that callers tell apart with errors.Is.
var (
	// ErrNotFound means that the container, image or process is not there.
	ErrNotFound = errors.New("not found")
	// ErrConflict means that the name or id is taken, or that the state of the
	// container does not allow the act.
	ErrConflict = errors.New("conflict")
	// ErrInUse means that something else still needs what was to be removed.
	ErrInUse = errors.New("in use")
	// ErrUnavailable means that containerd does not answer.
	ErrUnavailable = errors.New("containerd does not answer")
	// ErrCommandNotFound means that the program of a container or exec does not exist.
	ErrCommandNotFound = errors.New("command not found")
	// ErrNotExecutable means that the program exists and cannot be run.
	ErrNotExecutable = errors.New("command cannot be executed")
)

// classified is an error of containerd that carries one of ours besides.
type classified struct {
	class error
	cause error
}

func (e *classified) Error() string   { return e.cause.Error() }
func (e *classified) Unwrap() []error { return []error{e.class, e.cause} }

// connectionClosing is what a call says that meets the end of its own
// connection, which the agent closes when it makes another.
// Source: google.golang.org/grpc, ErrClientConnClosing.
const connectionClosing = "grpc: the client connection is closing"

// edge turns an error of containerd, native or from gRPC, into ours: the text
// without gRPC's wrapping, and the class for errors.Is.
func edge(err error) error {
	if err == nil {
		return nil
	}
	if strings.Contains(err.Error(), connectionClosing) {
		return &classified{class: ErrUnavailable, cause: ErrUnavailable}
	}
	if _, is := status.FromError(err); is {
		err = errgrpc.ToNative(err)
	}
	for _, c := range []struct {
		is    func(error) bool
		class error
	}{
		{errdefs.IsNotFound, ErrNotFound},
		{errdefs.IsAlreadyExists, ErrConflict},
		{errdefs.IsFailedPrecondition, ErrConflict},
		{errdefs.IsUnavailable, ErrUnavailable},
	} {
		if c.is(err) {
			return &classified{class: c.class, cause: err}
		}
	}
	return err
}

// commandError makes the one sentence a user needs from runc's error about a
// program that cannot be run, with its class; any other error is returned as edge does.
func commandError(program string, err error) error {
	if err == nil {
		return nil
	}
	if !errors.As(err, new(*classified)) {
		err = edge(err)
	}
	text := err.Error()
	quoted := fmt.Sprintf("%q", program)
	switch {
	case strings.Contains(text, "executable file not found in $PATH"),
		strings.Contains(text, "exec: "+quoted+": stat") && strings.Contains(text, "no such file or directory"),
		strings.Contains(text, "exec "+program+": no such file or directory"):
		return &classified{class: ErrCommandNotFound, cause: fmt.Errorf("%s: %w in the image", quoted, ErrCommandNotFound)}
	case strings.Contains(text, "exec: "+quoted) && strings.Contains(text, "permission denied"),
		strings.Contains(text, "exec: "+quoted) && strings.Contains(text, "is a directory"),
		strings.Contains(text, "exec "+program+": permission denied"),
		strings.Contains(text, "exec format error"):
		return &classified{class: ErrNotExecutable, cause: fmt.Errorf("%s: %w: %s", quoted, ErrNotExecutable, lastReason(text))}
	}
	return err
}

// lastReason is what follows the last colon: the kernel's own words.
func lastReason(text string) string {
	if i := strings.LastIndex(text, ": "); i >= 0 {
		return text[i+2:]
	}
	return text
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }
func isConflict(err error) bool { return errors.Is(err, ErrConflict) }
