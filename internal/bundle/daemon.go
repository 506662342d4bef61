package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/lock"
	"github.com/compose-first/compose/internal/process"
)

// startLimit is how long a daemon may take until it answers. On two cores with
// a cold page cache containerd took 0.2 s and buildkitd 0.7 s; the rest is for
// machines under load.
const startLimit = 60 * time.Second

// stopGrace is how long a daemon may take to end before it is killed.
const stopGrace = 15 * time.Second

// daemon is a program that runs in the background, and where it keeps what.
type daemon struct {
	name    string // "containerd"
	root    layout.Root
	args    []string // the program's path first
	env     []string
	socket  string   // path
	further []string // paths of sockets that it makes besides
	prepare func(ctx context.Context) error
	version func(ctx context.Context) (string, error) // asks the daemon over its socket
}

// ensure returns once the daemon answers, and starts it when it does not run.
// Of several that ask at once, one starts it and the others wait.
func (d daemon) ensure(ctx context.Context) error {
	if d.listens() {
		return nil
	}
	turn, err := lock.Take(ctx, d.root.Lock(d.name), "start "+d.name, nil)
	if err != nil {
		return fmt.Errorf("start %s: %w", d.name, err)
	}
	defer turn.Release()
	if d.listens() {
		return nil
	}
	if p, ok := d.process(); ok {
		// Whoever started it was killed meanwhile: it needs no second one.
		if err := d.await(ctx, func() bool { return !p.Alive() }); err == nil {
			return nil
		} else if p.Alive() {
			return fmt.Errorf("%s runs as process %d but does not answer at %s: %w", d.name, p.PID, d.socket, err)
		}
	}
	if err := d.start(ctx); err != nil {
		return fmt.Errorf("start %s: %w", d.name, err)
	}
	return nil
}

// stuckLimit is how long a daemon may take to answer before it is taken to be
// stuck, and stuckGrace what one that is has to end before it is killed.
const (
	stuckLimit = 10 * time.Second
	stuckGrace = 2 * time.Second
)

// endStale ends a daemon that runs but does not answer, or whose program has
// been replaced since it started; ensure then starts it anew. Containers do not
// notice: they belong to their shims.
func (d daemon) endStale(ctx context.Context) error {
	p, runs := d.process()
	if !runs {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, stuckLimit)
	defer cancel()
	_, stuck := d.version(limited)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	grace := stopGrace
	if stuck != nil {
		grace = stuckGrace
	} else if !replaced(p, d.args[0]) {
		return nil
	}
	turn, err := lock.Take(ctx, d.root.Lock(d.name), "renew "+d.name, nil)
	if err != nil {
		return fmt.Errorf("renew %s: %w", d.name, err)
	}
	defer turn.Release()
	if err := p.End(ctx, grace); err != nil {
		return fmt.Errorf("renew %s: %w", d.name, err)
	}
	return nil
}

// listens tells whether something accepts connections on the daemon's socket.
// Both daemons open it last, when all else is ready.
func (d daemon) listens() bool {
	conn, err := net.Dial("unix", d.socket)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// process finds the daemon if it runs.
func (d daemon) process() (process.Process, bool) {
	if p, _, runs := process.ReadFile(d.root.Pid(d.name)); runs {
		return p, true
	}
	return processWithArgs(d.args)
}

// start runs the daemon in a session of its own, with its output in its log,
// and returns once it answers. A daemon that does not is ended again.
func (d daemon) start(ctx context.Context) (retErr error) {
	if err := d.prepareFiles(ctx); err != nil {
		return err
	}
	log, begin, err := openLog(d.root.DaemonLog(d.name))
	if err != nil {
		return err
	}
	defer log.Close()
	slog.DebugContext(ctx, "start daemon", "name", d.name, "args", d.args, "log", log.Name())

	cmd := exec.Command(d.args[0], d.args[1:]...) // no context: it outlives the command
	cmd.Dir = "/"
	cmd.Env = d.env
	cmd.Stdout, cmd.Stderr = log, log
	if err := startDetached(cmd, d.root.Cgroup()); err != nil {
		return err
	}
	exited := make(chan error, 1)
	p, ok := process.Of(cmd.Process.Pid) // before Wait can free the pid
	go func() { exited <- cmd.Wait() }()
	defer func() {
		if retErr != nil && ok {
			retErr = errors.Join(retErr, p.End(context.WithoutCancel(ctx), stopGrace))
		}
	}()
	if ok {
		if err := p.WriteFile(d.root.Pid(d.name), ""); err != nil {
			return err
		}
	}
	var ended error
	err = d.await(ctx, func() bool {
		select {
		case ended = <-exited:
			return true
		default:
			return false
		}
	})
	if errors.Is(err, errEnded) {
		return fmt.Errorf("it ended at once: %w%s", ended, lastWords(log.Name(), begin))
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, lastWords(log.Name(), begin))
	}
	return nil
}

// maxSocketPath is how long the path of a socket can be, bytes.
// Source: unix(7), sun_path of 108 bytes, the ending zero included.
const maxSocketPath = 107

// prepareFiles makes the folders that the daemon needs, and takes away a socket
// that a killed daemon left.
func (d daemon) prepareFiles(ctx context.Context) error {
	for _, path := range append([]string{d.socket}, d.further...) {
		if len(path) > maxSocketPath {
			return fmt.Errorf("socket path %s is %d bytes long, %d at most are allowed: choose a shorter %s",
				path, len(path), maxSocketPath, layout.RootVariable)
		}
	}
	for _, dir := range []string{d.root.State, d.root.Run, d.root.Temporary()} {
		if err := ownFolder(dir); err != nil {
			return err
		}
	}
	if err := removeIfThere(d.socket); err != nil {
		return err
	}
	return d.prepare(ctx)
}

// ownFolder makes a folder that only root may look into or pass through: what
// is below need not be closed one by one. One that is another user's, who
// could open it again, is refused.
func ownFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d: an engine's folders have to be root's: remove it, or choose another %s", dir, st.Uid, layout.RootVariable)
	}
	return os.Chmod(dir, 0o700)
}

var (
	errEnded = errors.New("ended")
	errSlow  = fmt.Errorf("no answer within %s", startLimit)
)

// await polls until the daemon answers on its socket. It returns errEnded when
// ended reports so, errSlow after startLimit, or the error of ctx.
func (d daemon) await(ctx context.Context, ended func() bool) error {
	limited, cancel := context.WithTimeoutCause(ctx, startLimit, errSlow)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if d.listens() {
			if _, err := d.version(limited); err == nil {
				return nil
			}
		}
		if ended() {
			return errEnded
		}
		select {
		case <-limited.Done():
			return context.Cause(limited)
		case <-tick.C:
		}
	}
}

// stop ends the daemon if it runs, and removes its socket and pid file.
func (d daemon) stop(ctx context.Context) error {
	turn, err := lock.Take(ctx, d.root.Lock(d.name), "stop "+d.name, nil)
	if err != nil {
		return fmt.Errorf("stop %s: %w", d.name, err)
	}
	defer turn.Release()
	if p, ok := d.process(); ok {
		if err := p.End(ctx, stopGrace); err != nil {
			return fmt.Errorf("stop %s: %w", d.name, err)
		}
	}
	for _, path := range append([]string{d.socket, d.root.Pid(d.name)}, d.further...) {
		if err := removeIfThere(path); err != nil {
			return fmt.Errorf("stop %s: %w", d.name, err)
		}
	}
	return nil
}

// status tells what can be told without starting anything.
func (d daemon) status(ctx context.Context) DaemonStatus {
	s := DaemonStatus{Name: d.name, Socket: d.socket}
	if p, ok := d.process(); ok {
		s.PID, s.Running = p.PID, true
	}
	if d.listens() {
		if version, err := d.version(ctx); err == nil {
			s.Version, s.Running = version, true
		}
	}
	return s
}

// maxLog is the size at which a daemon's log is put aside, bytes; one older log is kept.
const maxLog = 8 << 20

// openLog opens a log for appending and returns where this run's lines begin.
func openLog(path string) (file *os.File, begin int64, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, 0, err
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, 0, err
		}
	}
	file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// lastWords returns the last lines that a daemon wrote since begin, to be put
// behind an error.
func lastWords(path string, begin int64) string {
	content, err := os.ReadFile(path)
	if err != nil || int64(len(content)) <= begin {
		return " (log: " + path + ")"
	}
	lines := bytes.Split(bytes.TrimSpace(content[begin:]), []byte("\n"))
	const shown = 3
	lines = lines[max(0, len(lines)-shown):]
	return fmt.Sprintf(" (log: %s)\n\t%s", path, bytes.Join(lines, []byte("\n\t")))
}

// environment is what the daemons get: the way to their helpers, folders that
// stay when their starter's are gone, figures for Go's garbage collector, and of
// ours the way to registries. The rest is left out, so that a daemon is the
// same whoever started it. Heap profiles, which nobody takes, are off: their
// samples grow with what a daemon has ever done.
func environment(root layout.Root, dir string, gogc int) []string {
	env := []string{
		"PATH=" + dir + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		"TMPDIR=" + root.Temporary(),
		fmt.Sprintf("GOGC=%d", gogc),
		"GODEBUG=memprofilerate=0",
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		for _, name := range []string{name, strings.ToLower(name)} {
			if value, ok := os.LookupEnv(name); ok {
				env = append(env, name+"="+value)
			}
		}
	}
	return env
}
