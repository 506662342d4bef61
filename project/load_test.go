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
		{"broken YAML", "services:\n  a: [\n", ""},
		{"a tab", "services:\n\ta: {}\n", ""},
		{"duplicate key", "services:\n  a: {image: x}\n  a: {image: y}\n", ""},
		{"empty", "", ""},
		{"a list", "- a\n", ""},
		{"a text", "hello\n", ""},
		{"unknown key", "services:\n  a:\n    image: x\n    imag: y\n", ""},
		{"unknown top key", "service:\n  a: {image: x}\n", ""},
		{"unknown nested key", "services:\n  a:\n    image: x\n    build: {contxt: y}\n", ""},
		{"wrong type", "services:\n  a:\n    image: x\n    ports: 80\n", ""},
		{"wrong type 2", "services:\n  a:\n    image: [x]\n", ""},
		{"no image", "services:\n  a: {}\n", ""},
		{"null service", "services:\n  a:\n", ""},
		{"network", "services:\n  a: {image: x, networks: [nn]}\n", ""},
		{"depends", "services:\n  a: {image: x, depends_on: [zz]}\n", ""},
		{"cycle", "services:\n  b: {image: x, depends_on: [a]}\n  a: {image: x, depends_on: [b]}\n", ""},
		{"cycle by links", "services:\n  b: {image: x, links: [a]}\n  a: {image: x, network_mode: 'service:b'}\n", ""},
		{"interp", "services:\n  a:\n    image: ${X:?please}\n", ""},
		{"interp2", "services:\n  a:\n    image: ${X\n", ""},
		{"cast", "services:\n  a:\n    image: x\n    scale: ${COLOUR}\n", ""},
		{"bool", "services:\n  a:\n    image: x\n    tty: \"maybe\"\n", ""},
		{"env_file", "services:\n  a:\n    image: x\n    env_file: nope.env\n", ""},
		{"bytes", "services:\n  a:\n    image: x\n    mem_limit: lots\n", ""},
		{"duration", "services:\n  a:\n    image: x\n    stop_grace_period: soon\n", ""},
		{"port", "services:\n  a:\n    image: x\n    ports: [\"80:99999\"]\n", ""},
		{"port2", "services:\n  a:\n    image: x\n    ports: [\"80-82:90-91\"]\n", ""},
		{"port3", "services:\n  a:\n    image: x\n    ports: [{target: 70000}]\n", ""},
		{"port ip", "services:\n  a:\n    image: x\n    ports: [\"1.2.3:80:80\"]\n", ""},
		{"port ip6", "services:\n  a:\n    image: x\n    ports: [\"::1:6001:80\", \"[::1]:6002:80\"]\n", ""},
		{"same mount", "services:\n  a:\n    image: x\n    tmpfs: [/a]\n    volumes: [\"/x:/a\"]\n", ""},
		{"signal", "services:\n  a: {image: x, stop_signal: SIGFOO}\n", ""},
		{"restart", "services:\n  a: {image: x, restart: sometimes}\n", ""},
		{"scale", "services:\n  a: {image: x, scale: -1}\n", ""},
		{"extends", "services:\n  a: {image: x, extends: {service: nope}}\n", ""},
		{"include", "include: [nope.yaml]\nservices:\n  a: {image: x}\n", ""},
		{"alias", "services:\n  a: {image: x, labels: *nope}\n", ""},
		{"esc", "services:\n  \"a\\e[31m\": {image: x}\n", ""},
		{"esc2", "services:\n  a: {image: x, container_name: \"../x\"}\n", ""},
		{"secret", "services:\n  a: {image: x}\nsecrets:\n  s: {}\n", ""},
		{"secret2", "services:\n  a: {image: x, secrets: [s]}\nsecrets:\n  s: {environment: NOPE}\n", ""},
		{"ext", "services:\n  a: {image: x, networks: [n]}\nnetworks:\n  n: {external: true, driver: bridge}\n", ""},
		{"command", "services:\n  a: {image: x, command: \"echo 'a\"}\n", ""},
		{"envlist", "services:\n  a: {image: x, environment: [\"A =b\"]}\n", ""},
		{"intkey", "services:\n  1: {image: x}\n", ""},
		{"extra", "services:\n  a: {image: x, extra_hosts: [foo]}\n", ""},
		{"deviceip", "services:\n  a: {image: x, volumes: [\":/x\"]}\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, dir, err := load(t, tt.text)
			if got := show(err, dir); got != tt.want {
				t.Errorf("got %s", got)
			}
		})
	}
}
