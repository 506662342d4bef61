package build

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	gateway "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/opencontainers/go-digest"
)

// Error is a build that failed.
type Error struct {
	Service     string
	Dockerfile  string   // as the file names it; "" when the fault is not in one
	Line        int      // from 1; 0 when not known
	Instruction string   // "RUN make"
	Output      []string // last lines of the failing step
	ExitCode    int      // of a RUN; 0 when it is not one that exited
	Err         error    // as BuildKit says it
}

// Error is one line that says what failed, and under it the last output.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "build of service %q failed", e.Service)
	if e.Line > 0 {
		fmt.Fprintf(&b, ": %s:%d", e.Dockerfile, e.Line)
	}
	if e.Instruction != "" {
		fmt.Fprintf(&b, ": %s", e.Instruction)
	}
	fmt.Fprintf(&b, ": %s", e.cause())
	for _, line := range e.Output {
		fmt.Fprintf(&b, "\n  | %s", line)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// noise is what BuildKit puts before the cause.
var noise = regexp.MustCompile(`^(failed to solve: |process ".*" did not complete successfully: |failed to compute cache key: |dockerfile parse error on line [0-9]+: |failed to calculate checksum of ref [^:]+::[^:]+: |rpc error: code = \w+ desc = )+`)

func (e *Error) cause() string {
	if e.ExitCode != 0 {
		return fmt.Sprintf("exit code: %d", e.ExitCode)
	}
	text := strings.TrimSpace(e.Err.Error())
	if short := noise.ReplaceAllString(text, ""); short != "" {
		return short
	}
	return text
}

// newError makes an Error of what Solve returned.
func newError(r Request, s *solve, w *watch, err error) *Error {
	e := &Error{Service: r.Service, Err: err}
	if failing := failingStep(w, err); failing != nil {
		e.Output = failing.tail
		e.Instruction = instruction(failing.name)
	}
	var exit *gateway.ExitError
	if errors.As(err, &exit) && exit.ExitCode != gateway.UnknownExitStatus {
		e.ExitCode = int(exit.ExitCode)
	}
	for _, src := range errdefs.Sources(err) {
		if line, text := sourceLines(src); line > 0 {
			e.Dockerfile, e.Line, e.Instruction = s.dockerfile, line, text
			break
		}
	}
	return e
}

// failingStep returns the step that err is about, else the first that failed.
func failingStep(w *watch, err error) *step {
	var v *errdefs.VertexError
	if errors.As(err, &v) {
		if s, ok := w.steps[digest.Digest(v.Digest)]; ok {
			return s
		}
	}
	return w.failed
}

// stepMark is what a step's name has before its instruction: "[web 2/3] ".
var stepMark = regexp.MustCompile(`^\[[^\]]*\] `)

// instruction returns the instruction of a step, "" for one that the builder
// makes up.
func instruction(step string) string {
	if strings.HasPrefix(step, "[internal]") {
		return ""
	}
	return stepMark.ReplaceAllString(step, "")
}

// sourceLines returns where in the Dockerfile a fault is, and the text there
// as one line.
func sourceLines(src *errdefs.Source) (int, string) {
	if src.Info == nil || len(src.Ranges) == 0 || src.Ranges[0].Start == nil {
		return 0, ""
	}
	first := int(src.Ranges[0].Start.Line)
	last := first
	for _, rg := range src.Ranges {
		if rg.End != nil {
			last = max(last, int(rg.End.Line))
		}
	}
	lines := strings.Split(string(src.Info.Data), "\n")
	if first < 1 || first > len(lines) {
		return 0, ""
	}
	last = min(last, len(lines))
	return first, oneLine(lines[first-1 : last])
}

// maxInstruction is how much of an instruction an error shows, in characters.
const maxInstruction = 200

// oneLine joins the lines of an instruction.
func oneLine(lines []string) string {
	var parts []string
	for _, l := range lines {
		l = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(l), `\`))
		if l != "" {
			parts = append(parts, l)
		}
	}
	text := []rune(strings.Join(parts, " "))
	if len(text) > maxInstruction {
		return string(text[:maxInstruction]) + "…"
	}
	return string(text)
}
