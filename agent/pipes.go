package agent

import (
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/engine"
	"github.com/compose-first/compose/internal/layout"
	"github.com/compose-first/compose/internal/logfile"
)

// pipes holds the pipes of containers' output open, and never reads them. The
// kernel forgets what is in a pipe with the last that has it open: of a
// container that ends while the logger is being replaced, nothing is lost.
type pipes struct {
	root layout.Root
	mu   sync.Mutex
	held map[string]heldPipe // by path
}

type heldPipe struct {
	fd    int
	inode uint64
}

func newPipes(root layout.Root) *pipes { return &pipes{root: root, held: map[string]heldPipe{}} }

// hold opens the pipes of containers whose output is not all in their logs,
// and lets go of all others.
func (p *pipes) hold(containers []engine.Container) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := map[string]bool{}
	for _, c := range containers {
		if c.State == engine.StateCreated || !up(c) && logfile.Drained(p.root.Streams(c.ID)) {
			continue
		}
		for _, stream := range []string{logfile.Stdout, logfile.Stderr} {
			path := filepath.Join(p.root.Streams(c.ID), stream)
			wanted[path] = true
			p.open(path)
		}
	}
	for path, h := range p.held {
		if !wanted[path] {
			unix.Close(h.fd)
			delete(p.held, path)
		}
	}
}

// holdAll opens the pipes of all containers, whatever their state.
func (p *pipes) holdAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	entries, err := os.ReadDir(p.root.StreamsDir())
	if err != nil {
		return
	}
	for _, e := range entries {
		for _, stream := range []string{logfile.Stdout, logfile.Stderr} {
			p.open(filepath.Join(p.root.Streams(e.Name()), stream))
		}
	}
}

// open holds the pipe at path, if there is one. p.mu is held.
func (p *pipes) open(path string) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil || stat.Mode&unix.S_IFMT != unix.S_IFIFO {
		return
	}
	old, ok := p.held[path]
	if ok && old.inode == stat.Ino {
		return
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	if ok {
		unix.Close(old.fd)
	}
	p.held[path] = heldPipe{fd, stat.Ino}
}

func (p *pipes) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for path, h := range p.held {
		unix.Close(h.fd)
		delete(p.held, path)
	}
}
