package build

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/distribution/reference"
	"github.com/moby/buildkit/client/ociindex"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/opencontainers/go-digest"
	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"
)

// Names of the folders that the Dockerfile frontend asks for.
// Source: github.com/moby/buildkit, frontend/dockerui/context.go.
const (
	mountContext    = "context"
	mountDockerfile = "dockerfile"
)

// addContext adds the context and the Dockerfile.
func (s *solve) addContext(r Request) error {
	remote := isRemote(r.Config.Context)
	if remote {
		s.opt.FrontendAttrs["context"] = r.Config.Context
	} else if err := s.addFolder(mountContext, r.contextDir()); err != nil {
		return err
	}
	switch {
	case r.Config.DockerfileInline != "":
		s.dockerfile = "dockerfile_inline"
		s.addDockerfile(defaultDockerfile, []byte(r.Config.DockerfileInline))
		if remote { // else it is looked for in the context
			s.opt.FrontendAttrs["dockerfilekey"] = mountDockerfile
		}
		return nil
	case remote:
		s.dockerfile = orElse(r.Config.Dockerfile, defaultDockerfile)
		s.opt.FrontendAttrs["filename"] = s.dockerfile
		return nil
	default:
		return s.addDockerfileOf(r)
	}
}

// addDockerfileOf adds the Dockerfile on the host, with its folder: the
// frontend looks there for an ignore file of the Dockerfile's own.
func (s *solve) addDockerfileOf(r Request) error {
	s.dockerfile = orElse(r.Config.Dockerfile, defaultDockerfile)
	f, name, err := r.openDockerfile()
	if err != nil {
		return fmt.Errorf("dockerfile: %w", err)
	}
	s.addOpen(mountDockerfile, f)
	content, err := f.root.ReadFile(name)
	if err != nil {
		return fmt.Errorf("dockerfile: %w", err)
	}
	s.preferBuiltin(content)
	s.opt.FrontendAttrs["filename"] = name
	return nil
}

func (s *solve) addDockerfile(name string, content []byte) {
	s.preferBuiltin(content)
	s.opt.FrontendAttrs["filename"] = name
	s.opt.LocalMounts[mountDockerfile] = oneFile{name, content}
}

// preferBuiltin has a Dockerfile that asks for a stable release of the usual
// frontend read by the one in buildkitd, which is the same: it need not be
// pulled. Another frontend, or one of the labs channel, is fetched.
func (s *solve) preferBuiltin(dockerfile []byte) {
	ref, _, _, ok := parser.DetectSyntax(dockerfile)
	if !ok {
		return
	}
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil || named.Name() != "docker.io/docker/dockerfile" {
		return
	}
	tag, tagged := reference.TagNameOnly(named).(reference.Tagged)
	if _, digested := named.(reference.Digested); digested || !tagged || strings.Contains(tag.Tag(), "labs") || tag.Tag() == "master" {
		return
	}
	// With a command line the frontend takes itself to be the one asked for.
	s.opt.FrontendAttrs["cmdline"] = s.opt.Frontend
}

// addFolder gives the builder a folder to read.
func (s *solve) addFolder(name, dir string) error {
	f, err := openFolder(dir)
	if err != nil {
		return err
	}
	s.addOpen(name, f)
	return nil
}

func (s *solve) addOpen(name string, f folder) {
	s.closers = append(s.closers, f)
	s.opt.LocalMounts[name] = f
}

// localContext returns the folder of an additional context, if it is one.
func (r Request) localContext(c string) (string, bool) {
	if isRemote(c) || strings.HasPrefix(c, "docker-image://") || strings.HasPrefix(c, "oci-layout://") || strings.HasPrefix(c, servicePrefix) || strings.HasPrefix(c, "target:") {
		return "", false
	}
	return r.path(c), true
}

// addContexts adds the additional contexts.
func (s *solve) addContexts(r Request) error {
	for _, name := range slices.Sorted(maps.Keys(r.Config.AdditionalContexts)) {
		if err := s.addNamed(r, name, r.Config.AdditionalContexts[name]); err != nil {
			return fmt.Errorf("additional_contexts: %s: %w", name, err)
		}
	}
	return nil
}

func (s *solve) addNamed(r Request, name, c string) error {
	key := "context:" + name
	if service, ok := strings.CutPrefix(c, servicePrefix); ok {
		image, err := reference.ParseNormalizedNamed(r.Images[service])
		if err != nil {
			return fmt.Errorf("image of service %q: %w", service, err)
		}
		s.opt.FrontendAttrs[key] = "docker-image://" + reference.TagNameOnly(image).String()
		return nil
	}
	if layout, ok := strings.CutPrefix(c, "oci-layout://"); ok {
		ref, err := s.addLayout(r, name, layout)
		s.opt.FrontendAttrs[key] = ref
		return err
	}
	dir, ok := r.localContext(c)
	if !ok {
		s.opt.FrontendAttrs[key] = c
		return nil
	}
	local := "named-" + name
	s.opt.FrontendAttrs[key] = "local:" + local
	return s.addFolder(local, dir)
}

// addLayout gives the builder an OCI layout, FOLDER[:TAG][@DIGEST].
func (s *solve) addLayout(r Request, name, layout string) (string, error) {
	path, wanted, byDigest := strings.Cut(layout, "@")
	tag := "latest"
	if i := strings.LastIndexByte(path, ':'); i > strings.LastIndexByte(path, '/') {
		path, tag = path[:i], path[i+1:]
	}
	path = r.path(path)
	if !byDigest {
		desc, err := ociindex.NewStoreIndex(path).Get(tag)
		if err != nil {
			return "", err
		}
		if desc == nil {
			return "", fmt.Errorf("%s has no image of tag %s", path, tag)
		}
		wanted = desc.Digest.String()
	}
	if _, err := digest.Parse(wanted); err != nil {
		return "", err
	}
	store, err := local.NewStore(path)
	if err != nil {
		return "", err
	}
	id := fmt.Sprintf("layout%d", len(s.opt.OCIStores))
	s.opt.OCIStores[id] = store
	return "oci-layout://" + id + "@" + wanted, nil
}

// oneFile is a folder with one file in it.
type oneFile struct {
	name    string
	content []byte
}

// stamp is the time of a file that has none of its own: always the same, so
// that it is not sent again.
var stamp = time.Unix(0, 0)

func (f oneFile) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	if target != "" && target != "." && target != "/" && target != f.name {
		return nil
	}
	st := &fstypes.Stat{Path: f.name, Mode: 0o644, Size: int64(len(f.content)), ModTime: stamp.UnixNano()}
	return fn(f.name, &fsutil.DirEntryInfo{Stat: st}, nil)
}

func (f oneFile) Open(name string) (io.ReadCloser, error) {
	if strings.TrimPrefix(name, "/") != f.name {
		return nil, &os.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return io.NopCloser(strings.NewReader(string(f.content))), nil
}
