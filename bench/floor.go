package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"golang.org/x/sync/errgroup"
)

// floor does the least that can be done: it creates and starts n containers,
// or kills and deletes them, through the bare client.
type floor struct {
	client *containerd.Client
	image  containerd.Image
}

// parallelisms are how many containers the floor handles at a time; the best
// of them is the floor.
var parallelisms = []int{2, 4, 8, 30}

func newFloor(ctx context.Context, socket string) (*floor, context.Context, error) {
	client, err := containerd.New(socket)
	if err != nil {
		return nil, nil, fmt.Errorf("connect for the floor: %w", err)
	}
	ctx = namespaces.WithNamespace(ctx, "compose")
	image, err := client.GetImage(ctx, "docker.io/library/busybox:latest")
	if err != nil {
		_ = client.Close()
		return nil, nil, fmt.Errorf("image for the floor: %w", err)
	}
	return &floor{client: client, image: image}, ctx, nil
}

// cycle creates and starts n containers, then kills and deletes them, limit
// at a time, and returns how long each half took. resting, when not nil, is
// called while they run.
func (f *floor) cycle(ctx context.Context, n, limit int, resting func() error) (up, down time.Duration, err error) {
	tasks := make([]containerd.Task, n)
	containers := make([]containerd.Container, n)
	start := time.Now()
	err = each(n, limit, func(i int) error {
		id := fmt.Sprintf("floor-%d-%d", start.UnixNano(), i)
		c, err := f.client.NewContainer(ctx, id,
			containerd.WithNewSnapshot(id, f.image),
			containerd.WithNewSpec(oci.WithImageConfig(f.image), oci.WithProcessArgs("sleep", "1000")))
		if err != nil {
			return err
		}
		task, err := c.NewTask(ctx, cio.NullIO)
		if err != nil {
			return err
		}
		containers[i], tasks[i] = c, task
		return task.Start(ctx)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("floor, start: %w", err)
	}
	up = time.Since(start)
	if resting != nil {
		if err := resting(); err != nil {
			return 0, 0, err
		}
	}
	start = time.Now()
	err = each(n, limit, func(i int) error {
		gone, err := tasks[i].Wait(ctx)
		if err != nil {
			return err
		}
		if err := tasks[i].Kill(ctx, syscall.SIGKILL); err != nil {
			return err
		}
		<-gone
		if _, err := tasks[i].Delete(ctx); err != nil {
			return err
		}
		return containers[i].Delete(ctx, containerd.WithSnapshotCleanup)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("floor, stop: %w", err)
	}
	return up, time.Since(start), nil
}

// list connects, and lists all containers and tasks: the least by which a
// command can know what there is.
func list(ctx context.Context, socket string) (time.Duration, error) {
	start := time.Now()
	client, err := containerd.New(socket)
	if err != nil {
		return 0, fmt.Errorf("connect for the floor: %w", err)
	}
	defer client.Close()
	if _, err := client.ContainerService().List(ctx); err != nil {
		return 0, fmt.Errorf("floor, containers: %w", err)
	}
	if _, err := client.TaskService().List(ctx, &tasks.ListTasksRequest{}); err != nil {
		return 0, fmt.Errorf("floor, tasks: %w", err)
	}
	return time.Since(start), nil
}

func each(n, limit int, do func(i int) error) error {
	var g errgroup.Group
	g.SetLimit(limit)
	for i := range n {
		g.Go(func() error { return do(i) })
	}
	return g.Wait()
}
