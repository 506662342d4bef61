package engine

import (
	"fmt"
	"path/filepath"

	"github.com/docker/cli/cli/config"
)

// Docker Hub is called otherwise in Docker's config file.
// Source: docker/cli, the server address of docker login.
const (
	hubHost   = "registry-1.docker.io"
	hubServer = "https://index.docker.io/v1/"
)

// credentials returns name and secret for a registry host, from Docker's
// config file or the helpers it names; both empty without any, and the name
// alone empty for an identity token.
func (c *Client) credentials(host string) (name, secret string, err error) {
	dir := c.cfg.DockerConfigDir
	if dir == "" {
		dir = config.Dir()
	}
	file, err := config.Load(dir)
	if err != nil {
		return "", "", fmt.Errorf("read %s: %w", filepath.Join(dir, config.ConfigFileName), err)
	}
	server := host
	if host == hubHost || host == "docker.io" {
		server = hubServer
	}
	auth, err := file.GetAuthConfig(server)
	if err != nil {
		return "", "", fmt.Errorf("credentials for %s: %w", host, err)
	}
	if auth.IdentityToken != "" {
		return "", auth.IdentityToken, nil
	}
	return auth.Username, auth.Password, nil
}
