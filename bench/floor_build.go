package main

import (
	"context"
	"fmt"
	"time"

	buildkit "github.com/moby/buildkit/client"
	"github.com/tonistiigi/fsutil"
)

// bareBuild builds the Dockerfile of dir as an image, and returns how long that
// took from connecting on.
func bareBuild(ctx context.Context, socket, dir string) (time.Duration, error) {
	start := time.Now()
	client, err := buildkit.New(ctx, "unix://"+socket)
	if err != nil {
		return 0, fmt.Errorf("connect to BuildKit for the floor: %w", err)
	}
	defer client.Close()
	files, err := fsutil.NewFS(dir)
	if err != nil {
		return 0, fmt.Errorf("floor, build: %w", err)
	}
	_, err = client.Solve(ctx, nil, buildkit.SolveOpt{
		Frontend:      "dockerfile.v0",
		FrontendAttrs: map[string]string{"image-resolve-mode": "local"},
		LocalMounts:   map[string]fsutil.FS{"context": files, "dockerfile": files},
		Exports: []buildkit.ExportEntry{{
			Type:  buildkit.ExporterImage,
			Attrs: map[string]string{"name": "docker.io/library/floor:latest", "unpack": "true"},
		}},
	}, nil)
	if err != nil {
		return 0, fmt.Errorf("floor, build: %w", err)
	}
	return time.Since(start), nil
}
