package build

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"

	"github.com/compose-first/compose/project"
)

// Request is one image to build.
type Request struct {
	Service    string            // shown in events and errors
	Image      string            // name of the image, as the user writes it
	Tags       []string          // further names, besides Config.Tags
	Config     types.BuildConfig // paths are absolute or relative to ProjectDir
	ProjectDir string

	NoCache, Pull bool              // besides Config's own
	Args          map[string]string // from the command line; these win over Config.Args
	Labels        map[string]string // of the project; they win over Config.Labels
	Environment   map[string]string // the project's: values of bare args, proxy settings, the ssh agent
	Secrets       []Secret          // those that Config.Secrets names
	Images        map[string]string // image names of the services that Config.AdditionalContexts names
	Platform      string            // the service's platform; "" is the builder's
}

// Secret is a build secret: ID is its name in the Dockerfile, its content is
// in File, a host path, or, where File is "", in Content.
type Secret struct {
	ID      string
	File    string
	Content []byte
}

// FromProject returns the request for a service of p that has a build section.
// Errors name service and key.
func FromProject(p *project.Project, service string) (Request, error) {
	s, ok := p.Services[service]
	if !ok || s.Build == nil {
		return Request{}, fmt.Errorf("service %q has no build section", service)
	}
	r := Request{
		Service: service, Image: p.ImageName(service), Config: *s.Build, ProjectDir: p.WorkingDir,
		Environment: p.Environment, Platform: s.Platform, Images: map[string]string{},
		Labels: map[string]string{
			project.LabelProject: p.Name, project.LabelService: service, project.LabelVersion: project.Version,
		},
	}
	for _, name := range r.serviceContexts() {
		other, ok := p.Services[name]
		if !ok || other.Build == nil {
			return Request{}, fmt.Errorf("service %q: build.additional_contexts: service %q is not built by this project", service, name)
		}
		r.Images[name] = p.ImageName(name)
	}
	for _, g := range s.Build.Secrets {
		secret, err := secretOf(p, g)
		if err != nil {
			return Request{}, fmt.Errorf("service %q: build.secrets: %w", service, err)
		}
		r.Secrets = append(r.Secrets, secret)
	}
	return r, nil
}

func secretOf(p *project.Project, g types.ServiceSecretConfig) (Secret, error) {
	def, ok := p.Secrets[g.Source]
	if !ok {
		return Secret{}, fmt.Errorf("secret %q is not defined in secrets", g.Source)
	}
	secret := Secret{ID: g.Target, File: def.File}
	if secret.ID == "" {
		secret.ID = g.Source
	}
	switch {
	case def.File != "":
	case def.Environment != "":
		value, set := p.Environment[def.Environment]
		if !set {
			return Secret{}, fmt.Errorf("secret %q: environment variable %q is not set", g.Source, def.Environment)
		}
		secret.Content = []byte(value)
	case def.Content != "":
		secret.Content = []byte(def.Content)
	default:
		return Secret{}, fmt.Errorf("secret %q has no content on this platform", g.Source)
	}
	return secret, nil
}

// servicePrefix marks another service's image among the additional contexts.
const servicePrefix = "service:"

// serviceContexts returns the services whose images the build uses, sorted.
func (r Request) serviceContexts() []string {
	var names []string
	for _, c := range r.Config.AdditionalContexts {
		if name, ok := strings.CutPrefix(c, servicePrefix); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Check returns what is wrong with a request as far as can be known before the
// build: folder or Dockerfile missing, keys that exclude each other, bad
// names. It changes nothing. Errors name service and key.
func Check(r Request) error {
	var faults []error
	for _, check := range []struct {
		key  string
		this func(Request) error
	}{
		{"context", checkContext}, {"dockerfile", checkDockerfile}, {"additional_contexts", checkContexts},
		{"tags", checkNames}, {"network", checkNetwork}, {"entitlements", checkEntitlements},
		{"platforms", checkPlatforms}, {"ssh", checkSSH}, {"secrets", checkSecrets},
	} {
		if err := check.this(r); err != nil {
			faults = append(faults, fmt.Errorf("service %q: build.%s: %w", r.Service, check.key, err))
		}
	}
	return errors.Join(faults...)
}

// path makes a path of the file absolute.
func (r Request) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(r.ProjectDir, p)
}

// isRemote reports whether a context is fetched by the builder.
func isRemote(context string) bool {
	if strings.HasPrefix(context, "http://") || strings.HasPrefix(context, "https://") {
		return true
	}
	ref, isGit, err := dfgitutil.ParseGitRef(context)
	return isGit && (err != nil || !ref.IndistinguishableFromLocal)
}

// contextDir returns the folder of a local context.
func (r Request) contextDir() string { return r.path(orElse(r.Config.Context, ".")) }

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func checkContext(r Request) error {
	if isRemote(r.Config.Context) {
		return nil
	}
	return isFolder(r.contextDir())
}

func isFolder(dir string) error {
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("folder %s does not exist", dir)
	case err != nil:
		return err
	case !st.IsDir():
		return fmt.Errorf("%s is not a folder", dir)
	}
	return nil
}

// defaultDockerfile is used where the file names none.
// Source: Compose Build Specification, dockerfile.
const defaultDockerfile = "Dockerfile"

// dockerfile returns the path of a Dockerfile outside a remote context.
func (r Request) dockerfile() string {
	name := orElse(r.Config.Dockerfile, defaultDockerfile)
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.contextDir(), name)
}

func checkDockerfile(r Request) error {
	if r.Config.DockerfileInline != "" {
		if r.Config.Dockerfile != "" {
			return errors.New("it cannot be set together with dockerfile_inline")
		}
		return nil
	}
	if isRemote(r.Config.Context) || isFolder(r.contextDir()) != nil {
		return nil
	}
	folder, name, err := r.openDockerfile()
	if err != nil {
		return err
	}
	defer folder.Close()
	st, err := folder.root.Lstat(name)
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", r.dockerfile())
	}
	return err
}

// openDockerfile opens the folder of a Dockerfile on the host and returns the
// file's name there. The user may keep it elsewhere by saying so; one inside of the
// context stays inside, whatever links lead to it: the frontend that reads
// the folder may be anybody's.
func (r Request) openDockerfile() (_ folder, name string, _ error) {
	path := r.dockerfile()
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) {
		return folder{}, "", fmt.Errorf("%s does not exist", path)
	}
	if err != nil {
		return folder{}, "", err
	}
	dir, name := filepath.Split(real)
	if _, inside := below(r.contextDir(), path); !inside {
		f, err := openFolder(dir)
		return f, name, err
	}
	top, err := filepath.EvalSymlinks(r.contextDir())
	if err != nil {
		return folder{}, "", err
	}
	rest, inside := below(top, dir)
	if !inside {
		return folder{}, "", fmt.Errorf("%s is a link that leads out of the context, to %s: name that file instead", path, real)
	}
	context, err := os.OpenRoot(top)
	if err != nil {
		return folder{}, "", err
	}
	defer context.Close()
	sub, err := context.OpenRoot(rest)
	return folder{sub}, name, err
}

// below returns path as it is seen from dir, if it is dir or below it.
func below(dir, path string) (string, bool) {
	rel, err := filepath.Rel(dir, path)
	return rel, err == nil && filepath.IsLocal(rel)
}

func checkContexts(r Request) error {
	for _, name := range slices.Sorted(maps.Keys(r.Config.AdditionalContexts)) {
		c := r.Config.AdditionalContexts[name]
		if service, ok := strings.CutPrefix(c, servicePrefix); ok {
			if r.Images[service] == "" {
				return fmt.Errorf("%s: service %q is not built by this project", name, service)
			}
			continue
		}
		if dir, ok := r.localContext(c); ok {
			if err := isFolder(dir); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

func checkNames(r Request) error {
	_, err := r.names()
	return err
}

// names returns all names of the image, complete with registry and tag.
func (r Request) names() ([]string, error) {
	var names []string
	for _, name := range slices.Concat([]string{r.Image}, r.Config.Tags, r.Tags) {
		named, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
		if _, digested := named.(reference.Digested); digested {
			return nil, fmt.Errorf("%q: an image to build cannot be named by digest", name)
		}
		if full := reference.TagNameOnly(named).String(); !slices.Contains(names, full) {
			names = append(names, full)
		}
	}
	return names, nil
}

func checkNetwork(r Request) error {
	if !slices.Contains([]string{"", "default", "none", "host"}, r.Config.Network) {
		return fmt.Errorf("%q: a build can use default, none or host, not a network of the project", r.Config.Network)
	}
	return nil
}

func checkEntitlements(r Request) error {
	for _, e := range r.Config.Entitlements {
		if e != entitleHost && e != entitleInsecure {
			return fmt.Errorf("unknown entitlement %q: there are %s and %s", e, entitleHost, entitleInsecure)
		}
	}
	return nil
}

func checkPlatforms(r Request) error {
	_, err := r.platforms()
	return err
}

// platforms returns what to build for, complete and without repetition; none is the
// builder's own.
func (r Request) platforms() ([]string, error) {
	var all []string
	for _, p := range r.Config.Platforms {
		parsed, err := platforms.Parse(p)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", p, err)
		}
		if full := platforms.FormatAll(platforms.Normalize(parsed)); !slices.Contains(all, full) {
			all = append(all, full)
		}
	}
	if r.Platform == "" {
		return all, nil
	}
	own, err := platforms.Parse(r.Platform)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", r.Platform, err)
	}
	full := platforms.FormatAll(platforms.Normalize(own))
	if len(all) == 0 {
		return []string{full}, nil
	}
	if !slices.Contains(all, full) {
		return nil, fmt.Errorf("the service's platform %s is not among them", r.Platform)
	}
	return all, nil
}
