package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	chainid "github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image is an image in containerd, for one platform.
type Image struct {
	Name     string            // containerd's: normalised, "docker.io/library/redis:7"
	Digest   string            // of the index or manifest that the name points at
	ChainID  string            // of its unpacked layers: the key of their snapshot; not in listings
	Config   ImageConfig       // not in listings
	Platform string            // "linux/amd64"; not in listings
	Created  time.Time         // when the image was made; in listings, when it came here
	Size     int64             // bytes of manifest, configuration and compressed layers; not in listings
	Labels   map[string]string // containerd's, not the configuration's
}

// ImageConfig is an image's configuration.
type ImageConfig struct {
	ocispec.Image
	Healthcheck *ImageHealth
	Shell       []string
}

// ImageHealth is a HEALTHCHECK instruction as it is in the image; zero values
// stand for the defaults.
type ImageHealth struct {
	Test          []string // "NONE", "CMD" or "CMD-SHELL" first
	Interval      time.Duration
	Timeout       time.Duration
	StartPeriod   time.Duration
	StartInterval time.Duration
	Retries       int
}

// imageKey names the configuration of an image for one platform.
type imageKey struct{ digest, platform string }

// NormalizeImage returns containerd's name for an image as users write it:
// with registry and tag, those of Docker Hub and "latest" by default.
func NormalizeImage(ref string) (string, error) {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return "", fmt.Errorf("image %q: %w", ref, err)
	}
	return named.String(), nil
}

// Images lists the images, sorted by name, in one call: without what is only
// in their content.
func (c *Client) Images(ctx context.Context) ([]Image, error) {
	list, err := c.images.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", edge(err))
	}
	all := make([]Image, len(list))
	for i, img := range list {
		all[i] = Image{Name: img.Name, Digest: img.Target.Digest.String(), Created: img.CreatedAt, Labels: img.Labels}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}

// ResolveImage returns the local image that ref names, for a platform ("" is
// the host's). One that is here for other platforms only is ErrNotFound.
func (c *Client) ResolveImage(ctx context.Context, ref string, platform string) (Image, error) {
	name, err := NormalizeImage(ref)
	if err != nil {
		return Image{}, err
	}
	found, err := c.images.Get(ctx, name)
	if err != nil {
		return Image{}, fmt.Errorf("image %s: %w", ref, edge(err))
	}
	img, err := c.configs.get(imageKey{found.Target.Digest.String(), platform}, func() (Image, error) {
		return c.readImage(ctx, found.Target, platform)
	})
	if err != nil {
		return Image{}, fmt.Errorf("image %s: %w", ref, err)
	}
	img.Name, img.Labels = found.Name, found.Labels
	return img, nil
}

// readImage reads the content of an image: everything but its name.
func (c *Client) readImage(ctx context.Context, target ocispec.Descriptor, platform string) (Image, error) {
	matcher, err := platformMatcher(platform)
	if err != nil {
		return Image{}, err
	}
	store := c.conn.ContentStore()
	manifest, err := images.Manifest(ctx, store, target, matcher)
	if err != nil {
		return Image{}, edge(err)
	}
	data, err := content.ReadBlob(ctx, store, manifest.Config)
	if err != nil {
		return Image{}, fmt.Errorf("read configuration: %w", edge(err))
	}
	config, err := parseImageConfig(data)
	if err != nil {
		return Image{}, err
	}
	if platform != "" && !matcher.Match(config.Platform) { // a lone manifest is not chosen by platform
		return Image{}, fmt.Errorf("it is for %s, not %s: %w", platforms.Format(config.Platform), platform, ErrNotFound)
	}
	img := Image{
		Digest:   target.Digest.String(),
		ChainID:  chainid.ChainID(slices.Clone(config.RootFS.DiffIDs)).String(),
		Config:   config,
		Platform: platforms.Format(config.Platform),
		Size:     manifest.Config.Size,
	}
	if config.Created != nil {
		img.Created = *config.Created
	}
	for _, layer := range manifest.Layers {
		img.Size += layer.Size
	}
	return img, nil
}

// platformMatcher matches a platform as written, "" the host's.
func platformMatcher(platform string) (platforms.MatchComparer, error) {
	if platform == "" {
		return platforms.Default(), nil
	}
	p, err := platforms.Parse(platform)
	if err != nil {
		return nil, fmt.Errorf("platform %q: %w", platform, err)
	}
	return platforms.Only(p), nil
}

// parseImageConfig reads an image configuration with what Docker adds to it.
// Source: moby, image/spec/specs-go/v1, DockerOCIImage.
func parseImageConfig(data []byte) (ImageConfig, error) {
	var c ImageConfig
	if err := json.Unmarshal(data, &c.Image); err != nil {
		return c, fmt.Errorf("configuration of the image: %w", err)
	}
	var docker struct {
		Config struct {
			Healthcheck *ImageHealth
			Shell       []string
		} `json:"config"`
	}
	if err := json.Unmarshal(data, &docker); err != nil {
		return c, fmt.Errorf("configuration of the image: %w", err)
	}
	c.Healthcheck, c.Shell = docker.Config.Healthcheck, docker.Config.Shell
	return c, nil
}

// unpack makes sure that an image's layers are there as snapshots: it may have
// come here by other hands.
func (c *Client) unpack(ctx context.Context, name, platform string) error {
	img, err := c.images.Get(ctx, name)
	if err != nil {
		return edge(err)
	}
	matcher, err := platformMatcher(platform)
	if err != nil {
		return err
	}
	return c.unpackImage(ctx, img, matcher)
}

// RemoveImage deletes an image's name, and its content with the last one.
// ErrNotFound; ErrInUse when a container was made from it.
func (c *Client) RemoveImage(ctx context.Context, ref string) error {
	name, err := NormalizeImage(ref)
	if err != nil {
		return err
	}
	users, err := c.containers.List(ctx, fmt.Sprintf("image==%q", name))
	if err != nil {
		return fmt.Errorf("remove image %s: %w", ref, edge(err))
	}
	if len(users) > 0 {
		var names []string
		for _, u := range users {
			names = append(names, describe(u, nil).Name)
		}
		slices.Sort(names)
		return fmt.Errorf("remove image %s: %w by %s", ref, ErrInUse, strings.Join(names, ", "))
	}
	if err := c.images.Delete(ctx, name, images.SynchronousDelete()); err != nil {
		return fmt.Errorf("remove image %s: %w", ref, edge(err))
	}
	return nil
}
