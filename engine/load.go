package engine

import (
	"context"
	"errors"
	"fmt"
	"io"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/platforms"
)

// Load imports an archive as docker save or an OCI layout make it, plain or
// compressed with gzip or zstd, unpacks its images, and returns their names.
func (c *Client) Load(ctx context.Context, r io.Reader) ([]string, error) {
	plain, err := compression.DecompressStream(r)
	if err != nil {
		return nil, fmt.Errorf("load images: %w", err)
	}
	defer plain.Close()
	ctx, done, err := c.leaseImages(ctx)
	if err != nil {
		return nil, fmt.Errorf("load images: %w", err)
	}
	defer done()
	imported, err := c.conn.Import(ctx, plain,
		containerd.WithAllPlatforms(true),
		containerd.WithSkipMissing(),
		containerd.WithImageRefTranslator(loadedName))
	if err != nil {
		return nil, fmt.Errorf("load images: %w", edge(err))
	}
	if len(imported) == 0 {
		return nil, errors.New("load images: the archive names no image")
	}
	names := make([]string, 0, len(imported))
	for _, img := range imported {
		if err := c.unpackImage(ctx, img, platforms.Default()); err != nil {
			return names, fmt.Errorf("unpack image %s: %w", img.Name, err)
		}
		names = append(names, img.Name)
	}
	return names, nil
}

// loadedName is the name of an image from the reference in an OCI layout. A
// mere tag, as some tools write, names none.
func loadedName(ref string) string {
	name, err := NormalizeImage(ref)
	if err != nil {
		return ""
	}
	return name
}

// unpackImage makes snapshots of an image's layers, unless they are there.
func (c *Client) unpackImage(ctx context.Context, img images.Image, platform platforms.MatchComparer) error {
	ctx, done, err := c.leaseImages(ctx)
	if err != nil {
		return err
	}
	defer done()
	return edge(containerd.NewImageWithPlatform(c.conn, img, platform).Unpack(ctx, c.cfg.Snapshotter))
}
