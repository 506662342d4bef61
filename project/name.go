package project

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
)

// chooseGivenName takes the name of option or environment, which must have
// the allowed form.
func (l *loading) chooseGivenName(context.Context) error {
	l.name = l.Options.Name
	if l.name == "" {
		l.name = l.env[consts.ComposeProjectName]
	}
	l.nameGiven = l.name != ""
	return checkProjectName(l.name)
}

func checkProjectName(name string) error {
	if name != "" && (loader.NormalizeProjectName(name) != name || len(name) > 200) {
		return &Error{Msg: loader.InvalidProjectNameErr(name).Error()}
	}
	return nil
}

// chooseName takes the name given, else that of the last file that has one,
// else the folder's; the last two are brought into the allowed form.
func (l *loading) chooseName(ctx context.Context) error {
	if err := l.chooseGivenName(ctx); err != nil || l.nameGiven {
		l.env[consts.ComposeProjectName] = l.name
		return err
	}
	written, err := l.writtenName()
	if err != nil {
		return err
	}
	l.name = loader.NormalizeProjectName(written)
	if written == "" {
		base := filepath.Base(l.folder)
		l.name = loader.NormalizeProjectName(base)
		if target, err := filepath.EvalSymlinks(l.folder); err == nil && filepath.Base(target) != base {
			l.warn("project has been loaded without an explicit name from a symlink. Using name %q", l.name)
		}
	}
	if l.name == "" {
		return &Error{Key: "name", Msg: fmt.Sprintf("project name must not be empty: nothing usable is left of %q; use -p or a top-level name", firstNonEmpty(written, l.folder))}
	}
	if err := checkProjectName(l.name); err != nil {
		return err
	}
	l.env[consts.ComposeProjectName] = l.name
	return nil
}

// writtenName returns the interpolated top-level name of the last file that
// has one. A file that is no YAML is left to the parser to complain of.
func (l *loading) writtenName() (string, error) {
	name := ""
	for _, f := range l.files {
		for _, doc := range f.docs {
			if n := mapped(doc, "name"); n != nil && n.Value != "" && n.Tag != "!reset" {
				name = n.Value
			}
		}
	}
	if name == "" || l.NoInterpolate {
		return name, nil
	}
	out, err := interpolation.Interpolate(map[string]any{"name": name}, interpolation.Options{LookupValue: l.env.Resolve, Substitute: l.substitute})
	if err != nil {
		return "", explain(err, l.files)
	}
	return out["name"].(string), nil
}

func firstNonEmpty(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
