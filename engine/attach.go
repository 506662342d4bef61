package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"golang.org/x/sys/unix"

	"github.com/compose-first/compose/internal/logfile"
)

// AttachConfig joins the caller's terminal or pipes to a container.
type AttachConfig struct {
	Stdin      io.Reader // nil: none
	CloseStdin bool      // the container sees end of file when Stdin ends
	Stdout     io.Writer // nil: thrown away
	Stderr     io.Writer // nil: thrown away
	Since      time.Time // output older than this is not shown; zero: all of the log
	Resize     <-chan Size
}

// Attach copies input to a started container, and its output from its log as
// the bytes that it wrote. It returns when the container has ended and all its
// output is copied, or with ctx. A Stdin that blocks may be read once more
// after that.
func (c *Client) Attach(ctx context.Context, id string, cfg AttachConfig) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if cfg.Stdin != nil {
		if err := c.feed(ctx, id, cfg); err != nil {
			return fmt.Errorf("attach to %s: %w", short(id), err)
		}
	}
	if cfg.Resize != nil {
		go c.followSize(ctx, id, cfg.Resize)
	}
	done := c.outputComplete(ctx, id)
	err := logfile.Read(ctx, c.cfg.Root.ContainerLog(id), logfile.Options{
		Since: cfg.Since, Tail: -1, Follow: true, Done: done,
	}, func(e logfile.Entry) error { return writeRaw(e, orDiscard(cfg.Stdout), orDiscard(cfg.Stderr)) })
	if err != nil {
		return fmt.Errorf("attach to %s: %w", short(id), err)
	}
	return ctx.Err()
}

// writeRaw writes an entry as the container wrote it.
func writeRaw(e logfile.Entry, stdout, stderr io.Writer) error {
	to := stdout
	if e.Stream == logfile.Stderr {
		to = stderr
	}
	text := e.Text
	if !e.Partial {
		text = append(text[:len(text):len(text)], '\n')
	}
	_, err := to.Write(text)
	return err
}

// outputComplete returns a function that tells whether a container has ended
// and all it wrote is in its log.
func (c *Client) outputComplete(ctx context.Context, id string) func() bool {
	var ended atomic.Bool
	go func() {
		if _, err := c.waitTask(ctx, id); err == nil || isNotFound(err) {
			ended.Store(true)
		}
	}()
	return func() bool { return ended.Load() && logfile.Drained(c.cfg.Root.Streams(id)) }
}

// feed copies input into the container's pipe in the background.
func (c *Client) feed(ctx context.Context, id string, cfg AttachConfig) error {
	fd, err := unix.Open(filepath.Join(c.cfg.Root.Streams(id), stdinPipe), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENXIO): // nobody reads: it has ended
		return nil
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("it has no standard input: %w", ErrConflict)
	case err != nil:
		return fmt.Errorf("open its standard input: %w", err)
	}
	pipe := os.NewFile(uintptr(fd), stdinPipe)
	stop := context.AfterFunc(ctx, func() { pipe.Close() })
	go func() {
		defer stop()
		_, err := io.Copy(pipe, cfg.Stdin)
		pipe.Close()
		if err == nil && cfg.CloseStdin && ctx.Err() == nil {
			_, _ = c.tasks.CloseIO(ctx, &tasks.CloseIORequest{ContainerID: id, Stdin: true})
		}
	}()
	return nil
}

// followSize gives the container's terminal the sizes that come.
func (c *Client) followSize(ctx context.Context, id string, sizes <-chan Size) {
	for {
		select {
		case s, ok := <-sizes:
			if !ok {
				return
			}
			_ = c.resize(ctx, id, "", s) // the container may have ended
		case <-ctx.Done():
			return
		}
	}
}

// LogOptions choose lines of a container's log.
type LogOptions struct {
	Since, Until time.Time // zero: no bound
	Tail         int       // last lines; negative: all
	Follow       bool      // go on until the container has ended
}

// Logs gives the lines of a container's log, oldest first, each in one entry.
// Following ends once the container has ended and all is read, or with ctx,
// which is no error then.
func (c *Client) Logs(ctx context.Context, id string, o LogOptions, give func(logfile.Entry) error) error {
	read := logfile.Options{Since: o.Since, Until: o.Until, Tail: o.Tail, Follow: o.Follow, Lines: true}
	if o.Follow {
		waiting, cancel := context.WithCancel(ctx)
		defer cancel()
		read.Done = c.outputComplete(waiting, id)
	}
	if err := logfile.Read(ctx, c.cfg.Root.ContainerLog(id), read, give); err != nil {
		return fmt.Errorf("logs of %s: %w", short(id), err)
	}
	return nil
}
