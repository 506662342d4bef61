package enginetest

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/typeurl/v2"
	"google.golang.org/protobuf/types/known/anypb"
)

// Garble is what somebody does to a stored value.
type Garble func([]byte) []byte

// GarbleExtensions garbles all that containerd keeps for others of a container.
func (e *Engine) GarbleExtensions(ctx context.Context, id string, garble Garble) error {
	return e.rewrite(ctx, id, func(c *containers.Container) []string {
		var paths []string
		for key, ext := range c.Extensions {
			c.Extensions[key] = typeurl.Any(&anypb.Any{TypeUrl: ext.GetTypeUrl(), Value: garble(ext.GetValue())})
			paths = append(paths, "extensions."+key)
		}
		return paths
	})
}

// GarbleLabel garbles one label of a container in containerd.
func (e *Engine) GarbleLabel(ctx context.Context, id, key string, garble Garble) error {
	return e.rewrite(ctx, id, func(c *containers.Container) []string {
		c.Labels[key] = string(garble([]byte(c.Labels[key])))
		return []string{"labels." + key}
	})
}

// Labels lists the keys of a container's labels, sorted.
func (e *Engine) Labels(ctx context.Context, id string) ([]string, error) {
	var keys []string
	err := e.rewrite(ctx, id, func(c *containers.Container) []string {
		keys = slices.Sorted(maps.Keys(c.Labels))
		return nil
	})
	return keys, err
}

// rewrite changes what containerd keeps of a container, at the paths that
// change returns.
func (e *Engine) rewrite(ctx context.Context, id string, change func(*containers.Container) (paths []string)) error {
	client, err := containerd.New(filepath.Join(e.Root, "run", "containerd.sock"))
	if err != nil {
		return fmt.Errorf("connect to containerd: %w", err)
	}
	defer client.Close()
	ctx = namespaces.WithNamespace(ctx, "compose")
	store := client.ContainerService()
	c, err := store.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("look at container %s: %w", id, err)
	}
	if paths := change(&c); len(paths) > 0 {
		_, err = store.Update(ctx, c, paths...)
	}
	if err != nil {
		return fmt.Errorf("rewrite container %s: %w", id, err)
	}
	return nil
}
