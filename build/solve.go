package build

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	buildkit "github.com/moby/buildkit/client"
	"github.com/tonistiigi/fsutil"
)

// frontend reads Dockerfiles; it is part of buildkitd.
const frontend = "dockerfile.v0"

// Entitlements, without which the builder refuses such a RUN.
// Source: github.com/moby/buildkit, util/entitlements/entitlements.go.
const (
	entitleHost     = "network.host"
	entitleInsecure = "security.insecure"
)

// solve is a request in BuildKit's terms.
type solve struct {
	opt        buildkit.SolveOpt
	dockerfile string   // as errors name it
	warnings   []string // of what is left out
	closers    []io.Closer
}

func (s *solve) close() {
	for _, c := range s.closers {
		_ = c.Close()
	}
}

// newSolve translates a request that Check has found good. Attribute names are those of the Dockerfile
// frontend and of the image exporter.
// Source: github.com/moby/buildkit, frontend/dockerui/config.go and
// exporter/containerimage/exptypes/keys.go.
func newSolve(r Request, dockerConfig string) (_ *solve, retErr error) {
	s := &solve{opt: buildkit.SolveOpt{
		Frontend:      frontend,
		FrontendAttrs: map[string]string{},
		LocalMounts:   map[string]fsutil.FS{},
		OCIStores:     map[string]content.Store{},
		SharedKey:     sharedKey(r),
		Internal:      true, // not in the history of builds, which nobody here reads
	}}
	defer func() {
		if retErr != nil {
			s.close()
		}
	}()
	if err := s.addContext(r); err != nil {
		return nil, err
	}
	if err := s.addContexts(r); err != nil {
		return nil, err
	}
	s.addArgs(r, dockerConfig)
	s.addSwitches(r)
	if err := s.addLimits(r); err != nil {
		return nil, err
	}
	s.addAttestations(r)
	if err := s.addCaches(r); err != nil {
		return nil, err
	}
	if err := s.addExport(r); err != nil {
		return nil, err
	}
	return s, s.addSession(r, dockerConfig)
}

// sharedKey lets a build find the copy of its context that an earlier one
// sent, so that only what changed since is sent.
func sharedKey(r Request) string {
	sum := sha256.Sum256([]byte(r.contextDir()))
	return hex.EncodeToString(sum[:])
}

// addSwitches adds what is a plain attribute of the frontend.
func (s *solve) addSwitches(r Request) {
	c, attrs := r.Config, s.opt.FrontendAttrs
	if c.Target != "" {
		attrs["target"] = c.Target
	}
	labels := maps.Clone(map[string]string(c.Labels))
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, r.Labels)
	for k, v := range labels {
		attrs["label:"+k] = v
	}
	if c.NoCache || r.NoCache {
		attrs["no-cache"] = ""
	} else if len(c.NoCacheFilter) > 0 {
		attrs["no-cache"] = strings.Join(c.NoCacheFilter, ",")
	}
	// A base image that is there is used as it is: it may be there alone.
	attrs["image-resolve-mode"] = "local"
	if c.Pull || r.Pull {
		attrs["image-resolve-mode"] = "pull"
	}
	if p, err := r.platforms(); err == nil && len(p) > 0 { // checked by Check
		attrs["platform"] = strings.Join(p, ",")
	}
	entitled := slices.Clone(c.Entitlements)
	switch c.Network {
	case "none":
		attrs["force-network-mode"] = "none"
	case "host":
		attrs["force-network-mode"] = "host"
		entitled = append(entitled, entitleHost)
	}
	if c.Privileged {
		entitled = append(entitled, entitleInsecure)
	}
	slices.Sort(entitled)
	s.opt.AllowedEntitlements = slices.Compact(entitled)
}

// addLimits adds what RUN steps see of the host.
func (s *solve) addLimits(r Request) error {
	c, attrs := r.Config, s.opt.FrontendAttrs
	if c.ShmSize > 0 {
		attrs["shm-size"] = strconv.FormatInt(int64(c.ShmSize), 10)
	}
	var limits []string
	for _, name := range slices.Sorted(maps.Keys(c.Ulimits)) {
		l := c.Ulimits[name]
		soft, hard := l.Soft, l.Hard
		if l.Single != 0 {
			soft, hard = l.Single, l.Single
		}
		limits = append(limits, fmt.Sprintf("%s=%d:%d", name, soft, hard))
	}
	if len(limits) > 0 {
		attrs["ulimit"] = strings.Join(limits, ",")
	}
	var hosts []string
	for _, name := range slices.Sorted(maps.Keys(c.ExtraHosts)) {
		for _, ip := range c.ExtraHosts[name] {
			if ip == hostGateway {
				ip = hostGatewayAddress
			}
			if net.ParseIP(ip) == nil {
				return fmt.Errorf("build.extra_hosts: %s: %q is not an address", name, ip)
			}
			hosts = append(hosts, name+"="+ip)
		}
	}
	if len(hosts) > 0 {
		attrs["add-hosts"] = strings.Join(hosts, ",")
	}
	return nil
}

// hostGateway stands for the host, whose network RUN steps share.
const (
	hostGateway        = "host-gateway"
	hostGatewayAddress = "127.0.0.1"
)

// addAttestations adds those that are asked for. There are none by default: a
// provenance is never twice the same, and so would be no image.
func (s *solve) addAttestations(r Request) {
	for name, value := range map[string]string{"provenance": r.Config.Provenance, "sbom": r.Config.SBOM} {
		switch value {
		case "", "false":
		case "true":
			s.opt.FrontendAttrs["attest:"+name] = ""
		default:
			s.opt.FrontendAttrs["attest:"+name] = value
		}
	}
}

// addExport has the image put into containerd's store under its names, and
// unpacked, so that a container can be made of it at once.
func (s *solve) addExport(r Request) error {
	names, err := r.names()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return errors.New("the image has no name")
	}
	s.opt.Exports = []buildkit.ExportEntry{{
		Type: buildkit.ExporterImage,
		Attrs: map[string]string{
			"name":           strings.Join(names, ","),
			"unpack":         "true",
			"oci-mediatypes": "true",
		},
	}}
	return nil
}
