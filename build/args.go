package build

import (
	"slices"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
)

const argPrefix = "build-arg:"

// proxies are the build arguments that need no ARG in the Dockerfile.
// Source: Dockerfile reference, predefined ARGs.
var proxies = []string{"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"}

// addArgs adds build arguments: the command line's, else the file's, else, for
// proxies, those of the Docker config, else of the environment.
func (s *solve) addArgs(r Request, dockerConfig string) {
	attrs := s.opt.FrontendAttrs
	for k, v := range r.Args {
		attrs[argPrefix+k] = v
	}
	for k, v := range r.Config.Args {
		if _, ok := attrs[argPrefix+k]; ok {
			continue
		}
		if v != nil {
			attrs[argPrefix+k] = *v
		} else if value, set := r.Environment[k]; set {
			attrs[argPrefix+k] = value
		}
	}
	for k, v := range proxySettings(r, loadConfig(dockerConfig)) {
		if _, ok := attrs[argPrefix+k]; !ok {
			attrs[argPrefix+k] = v
		}
	}
}

func proxySettings(r Request, c *configfile.ConfigFile) map[string]string {
	found := map[string]string{}
	for _, name := range slices.Concat(proxies, lower(proxies)) {
		if v := r.Environment[name]; v != "" {
			found[name] = v
		}
	}
	if c == nil {
		return found
	}
	for k, v := range c.ParseProxyConfig("default", nil) {
		if v != nil {
			found[k] = *v
		}
	}
	return found
}

func lower(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strings.ToLower(n)
	}
	return out
}

// loadConfig reads the Docker config of a folder, "" being the default one.
// It returns nil when there is none that can be read: credentials are a
// matter of the registry's answer.
func loadConfig(dir string) *configfile.ConfigFile {
	if dir == "" {
		dir = config.Dir()
	}
	c, err := config.Load(dir)
	if err != nil {
		return nil
	}
	return c
}
