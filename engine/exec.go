package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/pkg/cap"
	"github.com/containerd/containerd/v2/pkg/cio"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/anypb"
)

// execDrain is how long the output of an exec is waited for after its process
// has ended: a grandchild may hold the pipe for ever.
// Source: containerd-shim-runc-v2, the same bound when it deletes a process.
const execDrain = 2 * time.Second

// execStart is how long the start of an exec may take. The end of a context does
// not cut it off: the process would run on, and nobody would know of it.
const execStart = 20 * time.Second

// Size is that of a terminal, in characters.
type Size struct{ Width, Height uint16 }

// box is the size as a spec has it, nil where it is not known.
func (s Size) box() *specs.Box {
	if s == (Size{}) {
		return nil
	}
	return &specs.Box{Width: uint(s.Width), Height: uint(s.Height)}
}

// ExecConfig is a further process in a running container.
type ExecConfig struct {
	Args       []string
	Env        []string // KEY=value, over the container's own; a bare KEY takes it away
	User       string   // as in a Compose file; "" is the container's
	WorkingDir string   // "" is the container's
	TTY        bool
	Size       Size // of the terminal as the process starts; zero: not known
	Privileged bool
	Detach     bool        // return once it runs, with exit code 0
	Stdin      io.Reader   // nil: at end of file
	Stdout     io.Writer   // nil: thrown away
	Stderr     io.Writer   // nil: thrown away; with TTY all is Stdout
	Resize     <-chan Size // changes of the size
	Abandon    bool        // when ctx ends the process is left to run
}

// Exec runs a process in a running container and returns its exit code once it
// has ended and its output is written. When ctx ends first, the process is
// killed, unless it is to be abandoned, and ctx's error returned.
// ErrNotFound, ErrConflict if the container does not run; ErrCommandNotFound
// (by custom exit code 127) and ErrNotExecutable (126).
func (c *Client) Exec(ctx context.Context, id string, cfg ExecConfig) (exitCode int, err error) {
	if len(cfg.Args) == 0 {
		return 0, errors.New("exec: no command")
	}
	process, err := c.execProcess(ctx, id, cfg)
	if err != nil {
		return 0, fmt.Errorf("exec in %s: %w", short(id), err)
	}
	code, err := c.runExec(ctx, id, process, cfg)
	if err != nil {
		return code, fmt.Errorf("exec in %s: %w", short(id), err)
	}
	return code, nil
}

// execProcess is the container's own process with what cfg changes.
func (c *Client) execProcess(ctx context.Context, id string, cfg ExecConfig) (*specs.Process, error) {
	r, err := c.containers.Get(ctx, id)
	if err != nil {
		return nil, edge(err)
	}
	spec, err := decodeSpec(r.Spec)
	if err != nil {
		return nil, err
	}
	p := *spec.Process
	p.Args = cfg.Args
	p.Terminal = cfg.TTY
	p.ConsoleSize = cfg.Size.box()
	p.Cwd = firstOf(cfg.WorkingDir, p.Cwd)
	p.Env = mergeEnv(p.Env, cfg.Env)
	if cfg.TTY && !slices.ContainsFunc(p.Env, func(e string) bool { return strings.HasPrefix(e, "TERM=") }) {
		p.Env = append(p.Env, "TERM=xterm")
	}
	if cfg.User != "" {
		if err := c.execUser(ctx, id, cfg.User, &p); err != nil {
			return nil, err
		}
	}
	if cfg.Privileged {
		all, err := cap.Current()
		if err != nil {
			return nil, fmt.Errorf("read own capabilities: %w", err)
		}
		p.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
		p.NoNewPrivileges = false
		p.ApparmorProfile = ""
		p.SelinuxLabel = ""
	}
	return &p, nil
}

// execUser looks a user up in the files of the running container, which may
// have changed since its image.
func (c *Client) execUser(ctx context.Context, id, who string, p *specs.Process) error {
	known := &identities{}
	if needsNames(who, nil) {
		pid, err := c.runningPID(ctx, id)
		if err != nil {
			return err
		}
		if known, err = readIdentities(fmt.Sprintf("/proc/%d/root", pid)); err != nil {
			return err
		}
	}
	found, err := known.find(who, nil)
	if err != nil {
		return err
	}
	p.User.UID, p.User.GID, p.User.AdditionalGids = found.uid, found.gid, found.groups
	p.Env = slices.DeleteFunc(p.Env, func(e string) bool { return strings.HasPrefix(e, "HOME=") }) // runc sets the new user's
	return nil
}

// mergeEnv puts changes over an environment; a bare KEY takes a variable away.
func mergeEnv(env, changes []string) []string {
	merged := slices.Clone(env)
	for _, change := range changes {
		key, _, sets := strings.Cut(change, "=")
		merged = slices.DeleteFunc(merged, func(e string) bool { return strings.HasPrefix(e, key+"=") })
		if sets {
			merged = append(merged, change)
		}
	}
	return merged
}

// runExec starts a process and waits for its end.
func (c *Client) runExec(ctx context.Context, id string, process *specs.Process, cfg ExecConfig) (code int, retErr error) {
	execID := NewID()
	input := newInput(cfg.Stdin)
	streams, err := c.execStreams(execID, input, cfg)
	if err != nil {
		return 0, err
	}
	defer func() {
		streams.Cancel()
		_ = streams.Close()
	}()
	encoded, err := encodeProcess(process)
	if err != nil {
		return 0, err
	}
	starting, cancel := context.WithTimeout(context.WithoutCancel(ctx), execStart)
	defer cancel()
	names := streams.Config()
	_, err = c.tasks.Exec(starting, &tasks.ExecProcessRequest{
		ContainerID: id, ExecID: execID, Terminal: cfg.TTY, Spec: encoded,
		Stdin: names.Stdin, Stdout: names.Stdout, Stderr: names.Stderr,
	})
	if err = edge(err); err != nil {
		if isNotFound(err) {
			return 0, c.notRunning(ctx, "exec in", id)
		}
		return 0, err
	}
	if !cfg.Detach {
		defer c.deleteExec(context.WithoutCancel(ctx), id, execID)
	}
	if _, err := c.tasks.Start(starting, &tasks.StartRequest{ContainerID: id, ExecID: execID}); err != nil {
		c.deleteExec(context.WithoutCancel(ctx), id, execID)
		return 0, commandError(process.Args[0], err)
	}
	if cfg.Detach {
		return 0, nil
	}
	return c.followExec(ctx, id, execID, streams, input, cfg)
}

// followExec feeds a started process until it ends.
func (c *Client) followExec(ctx context.Context, id, execID string, streams cio.IO, input *input, cfg ExecConfig) (int, error) {
	type answer struct {
		code int
		err  error
	}
	ended := make(chan answer, 1)
	waiting := context.WithoutCancel(ctx) // a killed process is still waited for
	go func() {
		resp, err := c.tasks.Wait(waiting, &tasks.WaitRequest{ContainerID: id, ExecID: execID})
		ended <- answer{int(resp.GetExitStatus()), edge(err)}
	}()
	stdinEnded, resize := input.ended, cfg.Resize
	for {
		select {
		case a := <-ended:
			if a.err != nil {
				return 0, a.err
			}
			drain(streams)
			return a.code, nil
		case <-stdinEnded:
			stdinEnded = nil
			_, _ = c.tasks.CloseIO(ctx, &tasks.CloseIORequest{ContainerID: id, ExecID: execID, Stdin: true})
		case size, ok := <-resize:
			if !ok {
				resize = nil
				continue
			}
			_ = c.resize(ctx, id, execID, size)
		case <-ctx.Done():
			if cfg.Abandon {
				return 0, ctx.Err()
			}
			_, _ = c.tasks.Kill(waiting, &tasks.KillRequest{ContainerID: id, ExecID: execID, Signal: uint32(syscall.SIGKILL)})
			<-ended
			return 0, ctx.Err()
		}
	}
}

// drain waits until all output is copied, execDrain at most.
func drain(streams cio.IO) {
	done := make(chan struct{})
	go func() {
		streams.Wait()
		close(done)
	}()
	timer := time.NewTimer(execDrain)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// execStreams makes the pipes of an exec, and copies to and from them.
func (c *Client) execStreams(execID string, in *input, cfg ExecConfig) (cio.IO, error) {
	if cfg.Detach {
		return cio.NullIO(execID)
	}
	dir := c.cfg.Root.ExecDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make streams: %w", err)
	}
	var stdin io.Reader
	if in.reader != nil {
		stdin = in
	}
	stdout, stderr := orDiscard(cfg.Stdout), orDiscard(cfg.Stderr)
	options := []cio.Opt{cio.WithFIFODir(dir), cio.WithStreams(stdin, stdout, stderr)}
	if cfg.TTY {
		options = append(options, cio.WithTerminal)
	}
	streams, err := cio.NewCreator(options...)(execID)
	if err != nil {
		return nil, fmt.Errorf("make streams: %w", err)
	}
	return streams, nil
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

func (c *Client) deleteExec(ctx context.Context, id, execID string) {
	_, _ = c.tasks.DeleteProcess(ctx, &tasks.DeleteProcessRequest{ContainerID: id, ExecID: execID})
}

func (c *Client) resize(ctx context.Context, id, execID string, s Size) error {
	_, err := c.tasks.ResizePty(ctx, &tasks.ResizePtyRequest{
		ContainerID: id, ExecID: execID, Width: uint32(s.Width), Height: uint32(s.Height),
	})
	return edge(err)
}

// processType is what containerd's own client calls a process of an OCI spec.
const processType = "types.containerd.io/opencontainers/runtime-spec/1/Process"

func encodeProcess(p *specs.Process) (*anypb.Any, error) {
	a, err := encodeJSON(processType, p)
	if err != nil {
		return nil, fmt.Errorf("encode process: %w", err)
	}
	return a, nil
}

// input is a reader that tells when it has come to its end.
type input struct {
	reader io.Reader
	ended  chan struct{} // closed at the end; nil without a reader
}

func newInput(r io.Reader) *input {
	if r == nil {
		return &input{}
	}
	return &input{reader: r, ended: make(chan struct{})}
}

// Read is called by one goroutine, and no more after an error.
func (i *input) Read(p []byte) (int, error) {
	n, err := i.reader.Read(p)
	if err != nil {
		close(i.ended)
	}
	return n, err
}
