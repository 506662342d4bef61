// Package docs holds the documents to what they say.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// repository is the top folder, as seen from this one.
const repository = ".."

var (
	row    = regexp.MustCompile(`(?m)^\|.*\| (.*?) \|$`)
	named  = regexp.MustCompile("`([^`]+)`")
	header = []string{"---", "tried by"} // no promises
)

// TestSecurityNamesItsTests makes sure that every promise of security.md names
// tests, and that all of them are there.
func TestSecurityNamesItsTests(t *testing.T) {
	text, err := os.ReadFile("security.md")
	if err != nil {
		t.Fatal(err)
	}
	promises := 0
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		if m[1] == header[0] || m[1] == header[1] {
			continue
		}
		promises++
		tests := named.FindAllStringSubmatch(m[1], -1)
		if len(tests) == 0 {
			t.Errorf("no test: %s", m[0])
		}
		for _, name := range tests {
			if !there(t, name[1]) {
				t.Errorf("%s is not there: %s", name[1], m[0])
			}
		}
	}
	if promises < 20 {
		t.Errorf("only %d promises are found", promises)
	}
}

// TestSecurityNamesEveryTest makes sure that what is tried is also promised.
func TestSecurityNamesEveryTest(t *testing.T) {
	text, err := os.ReadFile("security.md")
	if err != nil {
		t.Fatal(err)
	}
	const room = "e2e/isolation"
	for _, name := range regexp.MustCompile(`(?m)^func (Test[A-Z]\w+)\(t `).FindAllStringSubmatch(tests(t, room), -1) {
		if !strings.Contains(string(text), "`"+room+"."+name[1]+"`") {
			t.Errorf("%s.%s holds no promise", room, name[1])
		}
	}
}

// there reports whether a test, "PACKAGE.TestName", or a script is in the source.
func there(t *testing.T, name string) bool {
	if strings.HasSuffix(name, ".txtar") {
		_, err := os.Stat(filepath.Join(repository, name))
		return err == nil
	}
	room, function, ok := strings.Cut(name, ".")
	return ok && strings.Contains(tests(t, room), "\nfunc "+function+"(")
}

// tests is the text of a package's test files.
func tests(t *testing.T, room string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(repository, room, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	return all.String()
}
