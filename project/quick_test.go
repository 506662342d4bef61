package project

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// prepared runs the passes before the model is built.
func prepared(t testing.TB, o Options) *loading {
	t.Helper()
	l := &loading{Options: o}
	if err := l.run(context.Background(),
		pass{"", l.takeEnvironment}, pass{"", l.readEnvFiles}, pass{"", l.findFiles}, pass{"", l.findFolder},
		pass{"", l.readEnvFiles}, pass{"", l.readFiles}, pass{"", l.chooseName}); err != nil {
		t.Fatal(err)
	}
	return l
}

// bothWays builds the model the quick way and with compose-go's loader.
func bothWays(t testing.TB, o Options) (quick, full map[string]any, quickErr, fullErr error) {
	t.Helper()
	run := func(build func(*loading) error) (map[string]any, error) {
		l := prepared(t, o)
		err := l.run(context.Background(), pass{"", func(context.Context) error { return build(l) }})
		return l.model, err
	}
	quick, quickErr = run((*loading).quick)
	full, fullErr = run(func(l *loading) error { return l.full(context.Background()) })
	return quick, full, quickErr, fullErr
}

func text(t testing.TB, v any) string {
	t.Helper()
	b, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func kitchen(t testing.TB) Options {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "kitchen")
	body, err := os.ReadFile("testdata/kitchen.yaml")
	if err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, "-- compose.yaml --\n"+string(body)+"-- one.env --\nFROM_FILE=1\nA=9\nREF=${COLOUR}\n")
	return Options{WorkingDir: dir, Environment: []string{"HOME=/root", "COLOUR=blue"}}
}

func TestQuickModelIsTheLoaders(t *testing.T) {
	quick, slow, err, slowErr := bothWays(t, kitchen(t))
	if err != nil || slowErr != nil {
		t.Fatal(err, slowErr)
	}
	if q, s := text(t, quick), text(t, slow); q != s {
		t.Errorf("quick:\n%s\nloader:\n%s", diffLines(q, s), diffLines(s, q))
	}
}

// diffLines returns the lines of a that b does not have.
func diffLines(a, b string) string {
	var out strings.Builder
	has := map[string]bool{}
	for line := range strings.Lines(b) {
		has[line] = true
	}
	for line := range strings.Lines(a) {
		if !has[line] {
			out.WriteString(line)
		}
	}
	return out.String()
}

func TestBoundProjectIsTheLoaders(t *testing.T) {
	o := kitchen(t)
	o.Profiles = []string{"store"}
	l := prepared(t, o)
	var want *types.Project
	if err := l.run(context.Background(), pass{"", func(ctx context.Context) (err error) {
		want, err = loader.LoadWithContext(ctx, l.details(), l.options)
		return err
	}}); err != nil {
		t.Fatal(err)
	}
	got, err := Load(context.Background(), func() Options { o.AllResources = true; return o }())
	if err != nil {
		t.Fatal(err)
	}
	// compose-go takes names that start with x- for extensions everywhere.
	web, db := want.Services["web"], want.Services["db"]
	web.Labels, db.Environment = got.Services["web"].Labels, got.Services["db"].Environment
	want.Services["web"], want.Services["db"] = web, db
	for _, names := range [][2][]string{
		{got.ServiceNames(), want.ServiceNames()},
		{got.DisabledServiceNames(), want.DisabledServiceNames()},
	} {
		if !reflect.DeepEqual(names[0], names[1]) {
			t.Errorf("got services %q, want %q", names[0], names[1])
		}
	}
	for name := range want.Services {
		if g, w := text(t, got.Services[name]), text(t, want.Services[name]); g != w {
			t.Errorf("service %s: got\n%swant\n%s", name, diffLines(g, w), diffLines(w, g))
		}
	}
	for what, pair := range map[string][2]any{
		"networks": {got.Networks, want.Networks}, "volumes": {got.Volumes, want.Volumes},
		"secrets": {got.Secrets, want.Secrets}, "configs": {got.Configs, want.Configs},
		"extensions":      {got.Extensions, want.Extensions},
		"web extensions":  {got.Services["web"].Extensions, want.Services["web"].Extensions},
		"secret contents": {types.FileObjectConfig(got.Secrets["token"]), types.FileObjectConfig(want.Secrets["token"])},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: got %+v, want %+v", what, pair[0], pair[1])
		}
	}
}
