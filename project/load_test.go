package project

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// load loads the text as DIR/compose.yaml, DIR being a fresh folder "shop".
// Further files stand behind lines "-- NAME --".
func load(t testing.TB, text string, change ...func(*Options)) (*Project, string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	writeFiles(t, dir, "-- compose.yaml --\n"+text)
	o := Options{WorkingDir: dir, Environment: []string{"HOME=/root", "COLOUR=blue"}}
	for _, c := range change {
		c(&o)
	}
	p, err := Load(context.Background(), o)
	return p, dir, err
}

func writeFiles(t testing.TB, dir, archive string) {
	t.Helper()
	name := ""
	files := map[string]string{}
	for line := range strings.Lines(archive) {
		if rest, ok := strings.CutPrefix(line, "-- "); ok {
			name, _, _ = strings.Cut(rest, " --")
			files[name] = ""
			continue
		}
		files[name] += line
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// show returns an error's text with DIR for the folder, or "ok".
func show(err error, dir string) string {
	if err == nil {
		return "ok"
	}
	return strings.ReplaceAll(err.Error(), dir, "DIR")
}

func TestLoadErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"what is no YAML is told with line and column", "services:\n  a: [\n",
			"DIR/compose.yaml:2:1: failed to parse DIR/compose.yaml: yaml: while parsing a flow node at line 2: did not find expected node content"},
		{"a tab is no indent", "services:\n\ta: {}\n",
			"DIR/compose.yaml:2:1: failed to parse DIR/compose.yaml: yaml: while scanning for the next token at line 2: found character that cannot start any token"},
		{"an alias needs an anchor", "services:\n  a: {image: x, labels: *nope}\n",
			"DIR/compose.yaml:2:26: failed to parse DIR/compose.yaml: yaml: line 2, column 26: unknown anchor 'nope' referenced"},
		{"a key stands once", "services:\n  a: {image: x}\n  a: {image: y}\n",
			`DIR/compose.yaml:3: failed to parse DIR/compose.yaml: mapping key "a" already defined at line 2`},
		{"a file is not empty", "# nothing\n", "DIR/compose.yaml: empty compose file"},
		{"a file has more than braces", "{}\n", "DIR/compose.yaml: empty compose file"},
		{"a file is a mapping", "- a\n", "DIR/compose.yaml:1: top-level object must be a mapping"},
		{"a text is no file", "hello\n", "DIR/compose.yaml:1: top-level object must be a mapping"},

		{"a service's unknown key", "services:\n  a:\n    image: x\n    imag: y\n",
			"DIR/compose.yaml:4: services.a additional properties 'imag' not allowed"},
		{"an unknown key at the top", "service:\n  a: {image: x}\n",
			"DIR/compose.yaml:1: additional properties 'service' not allowed"},
		{"an unknown key further down", "services:\n  a:\n    build: {contxt: y}\n",
			"DIR/compose.yaml:3: services.a.build additional properties 'contxt' not allowed"},
		{"a key of the wrong type", "services:\n  a:\n    image: x\n    ports: 80\n",
			"DIR/compose.yaml:4: services.a.ports must be a list"},
		{"a service is a mapping", "services:\n  a:\n",
			"DIR/compose.yaml:2: services.a must be a mapping"},
		{"a name that would steer a terminal", "services:\n  \"a\\e[31m\": {image: x}\n",
			`DIR/compose.yaml:1: services: invalid name "a\x1b[31m": only letters, digits and . _ - are allowed`},
		{"a name that would leave its folder", "services:\n  a: {image: x}\nvolumes:\n  ../v: {}\n",
			`DIR/compose.yaml:3: volumes: invalid name "../v": only letters, digits and . _ - are allowed`},

		{"a service has an image or a build", "services:\n  a: {}\n",
			`DIR/compose.yaml:2: service "a" has neither an image nor a build context specified: invalid compose project`},
		{"an undefined network", "services:\n  a: {image: x, networks: [nn]}\n",
			`DIR/compose.yaml:2: service "a" refers to undefined network nn: invalid compose project`},
		{"an undefined volume", "services:\n  a:\n    image: x\n    volumes: [\n      vv:/v]\n",
			`DIR/compose.yaml:5: service "a" refers to undefined volume vv: invalid compose project`},
		{"an undefined secret", "services:\n  a: {image: x, secrets: [s]}\n",
			`DIR/compose.yaml:2: service "a" refers to undefined secret s: invalid compose project`},
		{"an undefined config", "services:\n  a: {image: x, configs: [c]}\n",
			`DIR/compose.yaml:2: service "a" refers to undefined config c: invalid compose project`},
		{"an undefined dependency", "services:\n  a:\n    image: x\n    depends_on:\n      zz: {condition: service_started}\n",
			`DIR/compose.yaml:5: service "a" depends on undefined service "zz": invalid compose project`},
		{"an inactive dependency", "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, profiles: [more, full]}\n",
			`DIR/compose.yaml:2: service "a" depends on undefined service "b": invalid compose project (it is inactive; enabled by profile more, full)`},
		{"an inactive service to link to", "services:\n  a: {image: x, links: [b]}\n  b: {image: x, profiles: [more]}\n",
			`DIR/compose.yaml:2: service "a" depends on undefined service "b": invalid compose project (it is inactive; enabled by profile more)`},
		{"services that wait for each other", "services:\n  b: {image: x, depends_on: [c]}\n  c: {image: x, depends_on: [a]}\n  a: {image: x, depends_on: [b]}\n",
			"DIR/compose.yaml:4: dependency cycle detected: a -> b -> c -> a"},
		{"a service that waits for itself", "services:\n  a: {image: x, depends_on: [a]}\n",
			"DIR/compose.yaml:2: dependency cycle detected: a -> a"},
		{"a cycle that is only implied", "services:\n  b: {image: x, links: [a]}\n  a: {image: x, network_mode: 'service:b'}\n",
			"DIR/compose.yaml:3: dependency cycle detected: a -> b -> a"},
		{"a base that is not there", "services:\n  a: {image: x, extends: {service: nope}}\n",
			`DIR/compose.yaml:2: cannot extend service "a" in DIR/compose.yaml: service "nope" not found`},
		{"an included file that is not there", "include: [nope.yaml]\nservices:\n  a: {image: x}\n",
			"DIR/compose.yaml:1: open DIR/nope.yaml: no such file or directory"},

		{"a required variable", "services:\n  a:\n    image: ${X:?please}\n",
			"DIR/compose.yaml:3: services.a.image: required variable X is missing a value: please"},
		{"a variable without its end", "services:\n  a:\n    image: ${X\n",
			"DIR/compose.yaml:3: invalid interpolation format for services.a.image.\nYou may need to escape any $ with another $.\n${X"},
		{"a variable that is no number", "services:\n  a:\n    image: x\n    scale: ${COLOUR}\n",
			`DIR/compose.yaml:4: services.a.scale: "blue" is not a whole number`},
		{"a text that is no boolean", "services:\n  a:\n    image: x\n    tty: \"maybe\"\n",
			`DIR/compose.yaml:4: services.a.tty: "maybe" is not a boolean: true or false`},
		{"an env file that is not there", "services:\n  a:\n    image: x\n    env_file: nope.env\n",
			`DIR/compose.yaml:4: service "a": env_file: env file DIR/nope.env not found`},
		{"a size that is none", "services:\n  a:\n    image: x\n    mem_limit: lots\n",
			"DIR/compose.yaml:4: services.a.mem_limit: invalid size: 'lots'"},
		{"a duration that is none", "services:\n  a:\n    image: x\n    stop_grace_period: soon\n",
			`DIR/compose.yaml:4: services.a.stop_grace_period: "soon" is not a time with its unit, as in "1m30s"`},
		{"unbalanced quotes", "services:\n  a: {image: x, command: \"echo 'a\"}\n",
			"DIR/compose.yaml:2: services.a.command: invalid command line string"},
		{"a host without an address", "services:\n  a: {image: x, extra_hosts: [foo]}\n",
			"DIR/compose.yaml:2: services.a.extra_hosts: invalid additional host, missing IP: foo"},
		{"a volume without a source", "services:\n  a: {image: x, volumes: [\":/x\"]}\n",
			"DIR/compose.yaml:2: services.a.volumes[0]: invalid spec: :/x: empty section between colons"},
		{"a port above 65535", "services:\n  a:\n    image: x\n    ports:\n      - 80\n      - \"80:99999\"\n",
			"DIR/compose.yaml:6: services.a.ports[1]: invalid containerPort: 99999"},
		{"ranges of ports of unequal length", "services:\n  a:\n    image: x\n    ports: [\"80-82:90-91\"]\n",
			"DIR/compose.yaml:4: services.a.ports[0]: invalid ranges specified for container and host Ports: 90-91 and 80-82"},
		{"a host address that is none", "services:\n  a:\n    image: x\n    ports: [\"1.2.3:80:80\"]\n",
			"DIR/compose.yaml:4: services.a.ports[0]: invalid IP address: 1.2.3"},
		{"a secret without a source", "services:\n  a: {image: x}\nsecrets:\n  s: {}\n",
			"DIR/compose.yaml:4: secrets.s: one of file|environment must be set"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, dir, err := load(t, tt.text)
			if got := show(err, dir); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
