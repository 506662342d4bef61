// Command demo shows compose at work on examples/guestbook: `make demo` runs it
// from the top folder. It brings the project up, writes an entry over HTTP,
// scales the app, takes all down and up again, reads the entry back, and says
// how long each took. The project is left running, to be looked at.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"
)

const (
	compose  = "bin/compose"
	project  = "examples/guestbook"
	base     = "debian:bookworm-slim" // the one image that all of the project's own are built from
	baseTar  = ".cache/images/debian.tar"
	address  = "http://localhost:8080"
	replicas = 4 // of the app, after scaling
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	d := &demo{}
	err := d.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

// demo remembers how long each step took.
type demo struct {
	steps []string
	took  []time.Duration
}

func (d *demo) run(ctx context.Context) error {
	book := guestbook{address: address}
	message := "written at " + time.Now().Format(time.DateTime)
	for _, step := range []struct {
		title string
		act   func(context.Context) error
	}{
		{"have the base image " + base, haveBase},
		{"build, create and start four services, until all are healthy", func(ctx context.Context) error {
			return runCompose(ctx, "up", "-d", "--build", "--wait")
		}},
		{"write an entry and read it back", func(ctx context.Context) error {
			if err := book.write(ctx, "make demo", message); err != nil {
				return err
			}
			return book.find(ctx, message)
		}},
		{fmt.Sprintf("scale the app to %d", replicas), func(ctx context.Context) error {
			return runCompose(ctx, "scale", fmt.Sprintf("app=%d", replicas))
		}},
		{"hear from each of them through the one port", func(ctx context.Context) error {
			return book.hearFrom(ctx, replicas)
		}},
		{"take all down", func(ctx context.Context) error { return runCompose(ctx, "down") }},
		{"bring all up again", func(ctx context.Context) error { return runCompose(ctx, "up", "-d", "--wait") }},
		{"read the entry again", func(ctx context.Context) error { return book.find(ctx, message) }},
	} {
		if err := d.step(ctx, step.title, step.act); err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
	}
	d.report()
	return nil
}

func (d *demo) step(ctx context.Context, title string, act func(context.Context) error) error {
	fmt.Printf("\n── %s\n", title)
	begin := time.Now()
	err := act(ctx)
	d.steps, d.took = append(d.steps, title), append(d.took, time.Since(begin))
	return err
}

func (d *demo) report() {
	fmt.Println("\nHow long each took:")
	for i, title := range d.steps {
		fmt.Printf("  %8.2f s  %s\n", d.took[i].Seconds(), title)
	}
	here := "(cd " + project + " && ../../" + compose
	fmt.Printf(`
The guestbook is up: open %s

Look around:
  %s ps)
  %s logs -f proxy app)
  %s exec db psql -U guestbook -c 'TABLE entries')
Stop it, and keep the entries:
  %s down)
Stop it, and the engine too, and forget the entries:
  %s down -v) && %s engine stop
`, address, here, here, here, here, here, compose)
}

// runCompose runs a command on the project, with its output on ours.
func runCompose(ctx context.Context, args ...string) error {
	fmt.Printf("$ compose %s\n", join(args))
	binary, err := filepath.Abs(compose)
	if err != nil {
		return err
	}
	return run(ctx, project, binary, args...)
}

// haveBase makes the base image and loads it where it is neither there nor can
// be pulled.
func haveBase(ctx context.Context) error {
	if there, err := exec.CommandContext(ctx, compose, "image", "ls", "-q", base).Output(); err == nil && len(there) > 0 {
		fmt.Println("it is there")
		return nil
	}
	if registryAnswers(ctx) {
		fmt.Println("the build will pull it")
		return nil
	}
	fmt.Println("no registry answers: it is made here")
	if err := run(ctx, ".", "make", "--no-print-directory", baseTar); err != nil {
		return err
	}
	return run(ctx, ".", compose, "image", "load", "-i", baseTar)
}

// run runs a program in a folder with its output on ours. It is told to end by
// SIGINT when ctx ends, as compose then stops in good order.
func run(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Run(); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("%s %s: %w", filepath.Base(program), join(args), err))
	}
	return nil
}
