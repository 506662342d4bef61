// Command bench measures what a user waits for and what is left in memory,
// each figure beside its floor in the same run: the bare containerd client
// doing the least possible with the same containers, and no network, at the
// parallelism that suits it best. The machines this runs on are noisy, so the
// ratio to the floor is the figure to read, and nothing here passes or fails.
//
// Read scenario.go for what is measured, floor.go for what it is held against.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	var o options
	flag.StringVar(&o.Compose, "compose", "bin/compose", "the `binary` to measure")
	flag.StringVar(&o.Image, "image", ".cache/images/busybox.tar", "`tar` of the image docker.io/library/busybox:latest")
	flag.IntVar(&o.Services, "services", 30, "containers in the wide project")
	flag.IntVar(&o.Rounds, "rounds", 5, "how often each figure is taken; the median is printed")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// options are the command line's.
type options struct {
	Compose, Image   string
	Services, Rounds int
}

func run(ctx context.Context, o options) (retErr error) {
	e, err := newEngine(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if err := e.close(); err != nil && retErr == nil {
			retErr = err
		}
	}()
	t := table{Rounds: o.Rounds}
	for _, measure := range []func(context.Context, *engine, options, *table) error{
		wideProject, healthChain, cachedBuild,
	} {
		if err := measure(ctx, e, o, &t); err != nil {
			return err
		}
	}
	fmt.Print(t.String())
	return nil
}
