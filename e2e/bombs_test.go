package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a file made to exhaust the machine may cost before it is refused. The
// time is the processor's: other work on the machine does not count. It is
// given up on after bombWall, if it waits for something that never comes.
const (
	bombTime   = 2 * time.Second
	bombMemory = 256 << 20
	bombWall   = 20 * time.Second
)

// bombs are projects that must be refused with one sentence. A file that is
// not text is made by prepare.
var bombs = []struct {
	name    string
	files   map[string]string
	prepare func(t *testing.T, dir string)
	env     []string
	want    string
}{
	{name: "aliases", want: "compose.yaml:1: more than 100000 keys",
		files: project(laughs(func(i int) string { return "[" + repeat(fmt.Sprintf("*a%d, ", i), 10) + "]" }))},
	{name: "aliases of mappings", want: "more than 100000 keys",
		files: project(laughs(func(i int) string {
			return "{" + numbered(10, func(j int) string { return fmt.Sprintf("k%d: *a%d, ", j, i) }) + "}"
		}))},
	{name: "merge keys", want: "more than 100000 keys",
		files: project(laughs(func(i int) string { return fmt.Sprintf("{<<: [%s], k%d: 1}", repeat(fmt.Sprintf("*a%d, ", i), 10), i) }))},
	{name: "an alias of itself", want: "more than 100 deep", files: project("x-a: &a [*a]")},
	{name: "deep lists", want: "depth of 10000", files: project("x-a: " + repeat("[", 100_000) + repeat("]", 100_000))},
	{name: "deep mappings", want: "too large: about 200006 keys", files: project("x-a: " + repeat("{a: ", 100_000) + repeat("}", 100_000))},
	{name: "deep enough", want: "compose.yaml:1: lists and mappings in each other more than 100 deep",
		files: project("x-a: " + repeat("[", 9_000) + repeat("]", 9_000))},
	{name: "deep dashes", want: "depth of 10000", files: project("x-a:\n " + repeat("- ", 100_000) + "x")},
	{name: "many items", want: "too large: about 400007 keys", files: project("x-a: [" + repeat("[a],", 200_000) + "]")},
	{name: "many services", want: "too large|more than 100000 keys",
		files: map[string]string{"compose.yaml": "services:\n" + numbered(40_000, func(i int) string { return fmt.Sprintf("  s%d: {image: x}\n", i) })}},
	{name: "many documents", want: "more than 100 documents", files: project(repeat("x-a: 1\n---\n", 1_000))},
	{name: "a huge file", want: "compose.yaml is larger than 2048 KiB",
		prepare: func(t *testing.T, dir string) { sparse(t, filepath.Join(dir, "compose.yaml")) }},
	{name: "a device", want: "/dev/zero is a device, not a regular file", files: map[string]string{"compose.yaml": ""},
		env: []string{"COMPOSE_FILE=/dev/zero"}},
	{name: "a link to a device", want: "compose.yaml is a device, not a regular file",
		prepare: func(t *testing.T, dir string) { link(t, "/dev/urandom", filepath.Join(dir, "compose.yaml")) }},
	{name: "a pipe", want: "compose.yaml is a named pipe, not a regular file",
		prepare: func(t *testing.T, dir string) { pipe(t, filepath.Join(dir, "compose.yaml")) }},

	{name: "a file that includes itself", want: "include cycle detected", files: project("include: [compose.yaml]")},
	{name: "files that include each other", want: "include cycle detected",
		files: map[string]string{"compose.yaml": "include: [b.yaml]", "b.yaml": "include: [compose.yaml]"}},
	{name: "a chain of includes", want: `f50.yaml: more than 50 files that include or extend one another`,
		files: chain(3_000, func(i int) string { return fmt.Sprintf("include: [f%d.yaml]\n", i) })},
	{name: "includes that double", want: "in all files together",
		files: chain(30, func(i int) string {
			return fmt.Sprintf("include: [{path: f%d.yaml, env_file: a.env}, {path: f%d.yaml, env_file: b.env}]\n", i, i)
		})},
	{name: "a device included", want: "/dev/zero is a device", files: project("include: [/dev/zero]")},
	{name: "a pipe included", want: "other.yaml is a named pipe", files: project("include: [other.yaml]"),
		prepare: func(t *testing.T, dir string) { pipe(t, filepath.Join(dir, "other.yaml")) }},
	{name: "a bomb included", want: "b.yaml:1: more than 100000 keys",
		files: map[string]string{
			"compose.yaml": "include: [$NAME.yaml]", ".env": "NAME=b",
			"b.yaml": laughs(func(i int) string { return "[" + repeat(fmt.Sprintf("*a%d, ", i), 10) + "]" }),
		}},
	{name: "services that extend each other", want: "(?s)Circular reference:.*a in .*extends b in", files: services("a: {extends: b}, b: {extends: a}")},
	{name: "a chain of extends", want: `services.s\d+.extends: more than 50 services that extend one another`,
		files: services(numbered(3_000, func(i int) string { return fmt.Sprintf("s%d: {extends: s%d}, ", i, i+1) }) + "s3000: {image: x}")},
	{name: "extends that multiply", want: "once all services are put together",
		files: services(numbered(2_000, func(i int) string {
			next := i + 1
			if i%49 == 0 {
				next = 2_000
			}
			return fmt.Sprintf("s%d: {extends: s%d, labels: [%s]}, ", i, next, numbered(20, func(j int) string { return fmt.Sprintf("l%dx%d=1, ", i, j) }))
		}) + "s2000: {image: x}")},
	{name: "a device extended", want: "/dev/zero is a device", files: services("a: {extends: {file: /dev/zero, service: a}}")},
	{name: "a pipe extended", want: "other.yaml is a named pipe", files: services("a: {extends: {file: other.yaml, service: a}}"),
		prepare: func(t *testing.T, dir string) { pipe(t, filepath.Join(dir, "other.yaml")) }},

	{name: "variables in variables", want: "more than 50 deep", files: services(`a: {image: "` + repeat("${A:-", 30_000) + repeat("}", 30_000) + `"}`)},
	{name: "many variables", want: "more than 50000 places", files: services(`a: {image: x, labels: {l: "` + repeat("${A}", 100_000) + `"}}`)},
	{name: "long variables", want: `services.a.labels.l: .*more than 8 MiB of text`, env: []string{"S=" + repeat("s", 10_000)},
		files: services(`a: {image: x, labels: {l: "` + repeat("${S}", 10_000) + `"}}`)},
	{name: "variables that double", want: `\.env: the variables put in more than 8 MiB of text`, files: withFile(".env", doubling())},
	{name: "variables that double in an env_file", want: `e.env: service "a": env_file: the variables put in more than 8 MiB`,
		files: map[string]string{"compose.yaml": "services: {a: {image: x, env_file: e.env}}", "e.env": doubling()}},
	{name: "variables in variables of .env", want: `\.env: variables in one another's defaults more than 50 deep`,
		files: withFile(".env", "A="+repeat("${A:-", 30_000)+repeat("}", 30_000))},
	{name: "a huge .env", want: `\.env is larger than 512 KiB`, files: withFile(".env", repeat("A=b\n", 1_000_000))},
	{name: "a pipe as .env", want: `\.env is a named pipe`, files: withFile("note", ""),
		prepare: func(t *testing.T, dir string) { pipe(t, filepath.Join(dir, ".env")) }},
	{name: "a device as .env", want: `\.env is a device`, files: withFile("note", ""),
		prepare: func(t *testing.T, dir string) { link(t, "/dev/zero", filepath.Join(dir, ".env")) }},
	{name: "a device as env_file", want: `service "a": env_file: /dev/zero is a device`, files: services("a: {image: x, env_file: /dev/zero}")},
	{name: "a device as label_file", want: `service "a": label_file: /dev/zero is a device`, files: services("a: {image: x, label_file: /dev/zero}")},

	{name: "ranges of ports", want: "more than 20000 ports", files: services(numbered(200, func(i int) string { return fmt.Sprintf(`s%d: {image: x, ports: ["1-65535:1-65535"]}, `, i) }))},
	{name: "ranges of exposed ports", want: "more than 20000 ports", files: services(numbered(200, func(i int) string { return fmt.Sprintf(`s%d: {image: x, expose: ["1-65535"]}, `, i) }))},
	{name: "ranges in a variable", want: "more than 20000 ports", env: []string{"P=1-65535:1-65535"}, files: services("a: {image: x, ports: [$P]}")},
	{name: "replicas", want: `service "a": scale: 2000000000 is more than 10000`, files: services("a: {image: x, scale: 2000000000}")},
	{name: "a long image name", want: `service "a": image: invalid reference .* longer than 1024 characters`, files: services(`a: {image: ` + repeat("k", 2_000_000) + `}`)},
	{name: "a long service name", want: `services.kkkk.* … \(\d+ bytes left out`, files: services(repeat("k", 1_000_000) + `: {image: x}`)},
	{name: "a long key", want: `services.a additional properties .* … \(\d+ bytes left out`, files: services("a: {" + repeat("k", 1_000_000) + `: x}`)},
}

func TestBombs(t *testing.T) {
	for _, bomb := range bombs {
		t.Run(bomb.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range bomb.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if bomb.prepare != nil {
				bomb.prepare(t, dir)
			}
			refused(t, dir, bomb.env, bomb.want)
		})
	}
}

// refused fails unless `compose config` refuses the project in dir cheaply,
// with an error that matches want.
func refused(t *testing.T, dir string, env []string, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bombWall)
	defer cancel()
	cmd := exec.CommandContext(ctx, engine.Binary, "config", "-q")
	cmd.Dir, cmd.Env = dir, append(engine.Environment(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		t.Fatalf("not refused within %v", bombWall)
	case cmd.ProcessState == nil:
		t.Fatal(err)
	case cmd.ProcessState.ExitCode() != 1:
		t.Errorf("%v, want exit code 1", cmd.ProcessState)
	}
	if text := stderr.String(); !regexp.MustCompile(want).MatchString(text) || len(text) > 4<<10 {
		t.Errorf("want one sentence that matches %q, got %d bytes: %.4096s", want, len(text), text)
	}
	used := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if took := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(); took > bombTime {
		t.Errorf("it took %v, more than %v", took, bombTime)
	}
	if most := used.Maxrss << 10; most > bombMemory {
		t.Errorf("it took %d MiB, more than %d", most>>20, bombMemory>>20)
	}
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }

func numbered(n int, text func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(text(i))
	}
	return b.String()
}

// project is a project that is good but for a line.
func project(line string) map[string]string {
	return map[string]string{"compose.yaml": line + "\nservices: {a: {image: x}}\n"}
}

func services(text string) map[string]string {
	return map[string]string{"compose.yaml": "services: {" + text + "}\n"}
}

// withFile is a good project with a file beside it.
func withFile(name, text string) map[string]string {
	return map[string]string{"compose.yaml": "services: {a: {image: x}}\n", name: text}
}

// laughs are values each of which names the one before ten times.
func laughs(value func(before int) string) string {
	return "x-0: &a0 {l: l}\n" + numbered(12, func(i int) string { return fmt.Sprintf("x-%d: &a%d %s\n", i+1, i+1, value(i)) })
}

// doubling is an env file of a few hundred bytes that means terabytes.
func doubling() string {
	return "A0=" + repeat("x", 1_000) + "\n" + numbered(10, func(i int) string {
		return fmt.Sprintf("A%d=%s\n", i+1, repeat(fmt.Sprintf("${A%d}", i), 10))
	})
}

// chain is a project of files each of which refers to the next.
func chain(n int, text func(next int) string) map[string]string {
	files := map[string]string{"a.env": "A=1", "b.env": "A=2", fmt.Sprintf("f%d.yaml", n): "services: {a: {image: x}}\n", "compose.yaml": text(1)}
	for i := 1; i < n; i++ {
		files[fmt.Sprintf("f%d.yaml", i)] = text(i + 1)
	}
	return files
}

func sparse(t *testing.T, path string) {
	f, err := os.Create(path)
	if err == nil {
		err = f.Truncate(500 << 20)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func pipe(t *testing.T, path string) {
	if err := syscall.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
}
