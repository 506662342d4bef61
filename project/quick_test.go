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
	// And it leaves the folder of a volume alone where no driver is written out.
	want.Volumes["bound"].DriverOpts["device"] = filepath.Join(want.WorkingDir, "bound")
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

// The rows are documents of one file; each is a fragment that has its own way
// through short forms, merging or schema.
var merges = []string{
	"services: {a: {image: x, ports: ['80:80']}}\n---\nservices: {a: {ports: ['80:80/tcp', '81:81']}}\n",
	"services: {a: {image: x, volumes: ['/a:/x', 'vol:/y']}}\nvolumes: {vol: }\n---\nservices: {a: {volumes: ['./b:/x:ro']}}\n",
	"services: {a: {image: x, environment: [A=1, B]}}\n---\nservices: {a: {environment: {A: 2, C: null}}}\n",
	"services: {a: {image: x, command: [a, b]}}\n---\nservices: {a: {command: c, entrypoint: }}\n",
	"services: {a: {image: x, depends_on: [b]}, b: {image: y}}\n---\nservices: {a: {depends_on: {b: {condition: service_healthy}}}}\n",
	"services: {a: {image: x, networks: [n]}}\nnetworks: {n: }\n---\nservices: {a: {networks: {n: {aliases: [z]}, default: }}}\n",
	"services: {a: {image: x, env_file: nope.env}}\n---\nservices: {a: {env_file: [{path: nope.env, required: false}]}}\n",
	"services: {a: {image: x, labels: {l: 1}, dns: 1.1.1.1, expose: [80]}}\n---\nservices: {a: {labels: [l=2], dns: [1.1.1.1, 8.8.8.8], expose: [80, 81]}}\n",
	"services: {a: {build: .}}\n---\nservices: {a: {build: {args: {A: 1}, dockerfile_inline: 'FROM x'}}}\n",
	"services: {a: {image: x, logging: {driver: local, options: {a: b}}}}\n---\nservices: {a: {logging: {driver: json-file}}}\n",
	"services: {a: {image: x, ulimits: {nofile: 3}}}\n---\nservices: {a: {ulimits: {nofile: {soft: 1, hard: 2}}}}\n",
	"services: {a: {image: x, secrets: [s], configs: [c]}}\nsecrets: {s: {file: f}}\nconfigs: {c: {file: g}}\n---\nservices: {a: {secrets: [{source: s, mode: 0400}]}}\n",
	"version: '3'\nx-a: &a {image: x}\nservices: {a: {<<: *a, tty: 'true', cpus: '0.5', mem_limit: 1g}}\n",
	"services: {a: {image: x, extra_hosts: {h: 1.2.3.4, i: [1.1.1.1, 2.2.2.2]}}}\n---\nservices: {a: {extra_hosts: ['h=1.2.3.4', 'j:::1']}}\n",
	"services: {a: {image: x, deploy: {replicas: 2, labels: [a=b], resources: {reservations: {devices: [{capabilities: [gpu]}]}}}}}\n",
	"services: {a: {image: x, gpus: all, devices: ['/dev/a', '/dev/b:/dev/c:r'], post_start: [{command: x}]}}\n",
	"services: {a: {image: x, volumes: [{type: bind, source: ./x, target: /x, bind: {}}, './y:/y']}}\n",
	"services: {a: {image: x, healthcheck: {disable: true}, sysctls: {net.a: 1}, tmpfs: [/a, /a]}}\n",
	"services: {a: {image: \"${X:-y}\", network_mode: none, stop_grace_period: ${Y-10s}}}\nname: ${Z:-zed}\n",
	"services: {a: {image: x, develop: {watch: [{path: ., action: rebuild}]}}}\n",
	"services: {a: {image: x}, b: {extends: a, ports: [80]}}\n",
	"services: {a: {image: x, ports: [80]}}\n---\nservices: {a: {ports: !reset []}}\n",
	"services: {a: {image: x, command: [a]}}\n---\nservices: {a: !override {image: y}}\n",
	"services: {a: {provider: {type: x, options: {a: 1, b: [c, d]}}}}\n",
	"services: {a: {image: x, models: [m]}}\nmodels: {m: {model: y}}\n",
	"services: {a: {image: x, ports: [{published: 80}]}}\n",
	"services: {a: {image: x, ports: ['0']}}\n",
	"services: {}\n",
	"networks: {n: {}}\nvolumes: {vol: {external: {name: y}}}\n",
}

func TestMergesAreTheLoaders(t *testing.T) {
	for _, file := range merges {
		t.Run(file, func(t *testing.T) {
			sameBothWays(t, file)
		})
	}
}

// sameBothWays fails if the quick way gives what the loader does not.
func sameBothWays(t *testing.T, file string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	writeFiles(t, dir, "-- note --\n")
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	o := Options{WorkingDir: dir, Name: "shop", Environment: []string{"HOME=/root", "COLOUR=blue"}}
	if err := readable(o); err != nil {
		return
	}
	quick, full, quickErr, fullErr := bothWays(t, o)
	if quickErr != nil {
		return
	}
	if fullErr != nil {
		t.Fatalf("the loader alone finds: %v", fullErr)
	}
	if q, f := text(t, quick), text(t, full); q != f {
		t.Errorf("quick:\n%s\nloader:\n%s", diffLines(q, f), diffLines(f, q))
	}
}

// readable reports whether the files are YAML mappings at all.
func readable(o Options) error {
	l := &loading{Options: o}
	return l.run(context.Background(), pass{"", l.takeEnvironment}, pass{"", l.findFiles}, pass{"", l.findFolder}, pass{"", l.readFiles})
}

// FuzzLoad loads any text: no panic, no endless error, and the same
// model both ways.
func FuzzLoad(f *testing.F) {
	for _, file := range merges {
		f.Add(file)
	}
	if body, err := os.ReadFile("testdata/kitchen.yaml"); err == nil {
		f.Add(string(body))
	}
	f.Add("services: {a: &a {image: x, labels: *a}}\n")
	f.Add("a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nservices: {a: {image: x, labels: *c}}\n")
	f.Fuzz(func(t *testing.T, file string) {
		if strings.Contains(file, "include") || strings.Contains(file, "extends") || strings.Contains(file, "_file") {
			return // these read other files
		}
		p, err := Load(context.Background(), Options{
			Files: []string{"-"}, Stdin: strings.NewReader(file), WorkingDir: "/nowhere/shop", Name: "shop",
			Environment: []string{"HOME=/root", "COLOUR=blue"},
		})
		if err != nil {
			if len(err.Error()) > 4*maxErrorText {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			if strings.Contains(err.Error(), "breaks the parser") {
				t.Log(err)
			}
		} else if _, err := Marshal(p, "yaml"); err != nil {
			t.Error(err)
		}
		sameBothWays(t, file)
	})
}
