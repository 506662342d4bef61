package build

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	buildkit "github.com/moby/buildkit/client"
	"github.com/tonistiigi/go-csvvalue"
)

// cacheTypes are those that buildkitd has.
// Source: github.com/moby/buildkit, cmd/buildkitd/main.go.
var cacheTypes = map[string]struct{ from, to bool }{
	"registry": {true, true}, "local": {true, true}, "inline": {false, true},
	"gha": {true, true}, "s3": {true, true}, "azblob": {true, true},
}

// addCaches adds caches to read and to write. One that cannot be used is a
// warning: a cache changes how long a build takes, not what it makes.
func (s *solve) addCaches(r Request) error {
	for _, text := range r.Config.CacheFrom {
		e, err := parseCache(text)
		if err != nil {
			return fmt.Errorf("build.cache_from: %w", err)
		}
		if !cacheTypes[e.Type].from {
			s.warnings = append(s.warnings, fmt.Sprintf("build.cache_from: type %q is not supported and left out", e.Type))
			continue
		}
		if e.Type == "local" {
			e.Attrs["src"] = r.path(e.Attrs["src"])
		}
		s.opt.CacheImports = append(s.opt.CacheImports, e)
	}
	for _, text := range r.Config.CacheTo {
		e, err := parseCache(text)
		if err != nil {
			return fmt.Errorf("build.cache_to: %w", err)
		}
		if !cacheTypes[e.Type].to {
			s.warnings = append(s.warnings, fmt.Sprintf("build.cache_to: type %q is not supported and left out", e.Type))
			continue
		}
		if e.Type == "local" {
			e.Attrs["dest"] = r.path(e.Attrs["dest"])
		}
		if e.Type != "inline" && e.Attrs["ignore-error"] == "" {
			e.Attrs["ignore-error"] = "true"
		}
		s.opt.CacheExports = append(s.opt.CacheExports, e)
	}
	return nil
}

// parseCache reads an image name or a comma list of key=value with a type.
func parseCache(text string) (buildkit.CacheOptionsEntry, error) {
	fields, err := csvvalue.Fields(text, nil)
	if err != nil {
		return buildkit.CacheOptionsEntry{}, fmt.Errorf("%q: %w", text, err)
	}
	if len(fields) == 1 && !strings.Contains(fields[0], "=") {
		return buildkit.CacheOptionsEntry{Type: "registry", Attrs: map[string]string{"ref": text}}, nil
	}
	e := buildkit.CacheOptionsEntry{Attrs: map[string]string{}}
	for _, f := range fields {
		k, v, ok := strings.Cut(f, "=")
		if !ok {
			return e, fmt.Errorf("%q: %q is not key=value", text, f)
		}
		if k = strings.ToLower(strings.TrimSpace(k)); k == "type" {
			e.Type = v
		} else {
			e.Attrs[k] = v
		}
	}
	if e.Type == "" {
		return e, fmt.Errorf("%q: type is missing", text)
	}
	if need := map[string]string{"registry": "ref"}[e.Type]; need != "" && e.Attrs[need] == "" {
		return e, fmt.Errorf("%q: %s is missing (there is %s)", text, need, strings.Join(slices.Sorted(maps.Keys(e.Attrs)), ", "))
	}
	return e, nil
}
