package engine

import (
	"context"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/errdefs"
)

// registryFolders may have a folder with a hosts.toml or certificates for a
// registry, after the engine's own.
// Source: containerd, docs/hosts.md; Docker, dockerd certificates.
var registryFolders = []string{"/etc/containerd/certs.d", "/etc/docker/certs.d"}

// resolver finds images in registries: mirrors and certificates from the
// folders of hosts, credentials from Docker's configuration, plain HTTP where
// a loopback registry does not speak TLS.
func (c *Client) resolver(ctx context.Context) remotes.Resolver {
	return docker.NewResolver(docker.ResolverOptions{
		Hosts: config.ConfigureHosts(ctx, config.HostOptions{
			HostDir:     c.registryFolder,
			Credentials: c.credentials,
		}),
	})
}

// registryFolder returns the folder that configures a registry.
func (c *Client) registryFolder(host string) (string, error) {
	for _, dir := range append([]string{c.cfg.Root.RegistryHosts()}, registryFolders...) {
		found, err := config.HostDirFromRoot(dir)(host)
		if err == nil || !errdefs.IsNotFound(err) {
			return found, err
		}
	}
	return "", errdefs.ErrNotFound
}
