package build

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// readDockerfile is what the builder would get to read.
func readDockerfile(dir, name string) (string, error) {
	f, base, err := Request{ProjectDir: dir, Config: types.BuildConfig{Context: "ctx", Dockerfile: name}}.openDockerfile()
	if err != nil {
		return "", err
	}
	defer f.Close()
	content, err := f.root.ReadFile(base)
	return string(content), err
}

func TestDockerfileStaysInTheContext(t *testing.T) {
	for _, tt := range []struct {
		name       string
		dockerfile string
		files      []string
		want       string // regular expression: the content, or the error
	}{
		{"a file", "", []string{"ctx/Dockerfile", "inside"}, `^inside$`},
		{"a link inside", "", []string{"ctx/Dockerfile", "-> docker/File", "ctx/docker/File", "inside"}, `^inside$`},
		{"a folder that is a link inside", "d/File", []string{"ctx/d", "-> docker", "ctx/docker/File", "inside"}, `^inside$`},
		{"a context that is a link itself", "", []string{"ctx", "-> real", "real/Dockerfile", "-> F", "real/F", "inside"}, `^inside$`},
		{"one elsewhere that the user names", "../F", []string{"ctx/x", "", "F", "outside"}, `^outside$`},
		{"a link out", "", []string{"ctx/Dockerfile", "-> ../F", "F", "outside"}, `Dockerfile is a link that leads out of the context, to .*/F`},
		{"an absolute link out", "", []string{"ctx/Dockerfile", "-> /etc/passwd"}, `leads out of the context, to /etc/passwd`},
		{"a folder that is a link out", "d/F", []string{"ctx/d", "-> ..", "F", "outside"}, `leads out of the context`},
		{"a link to nothing", "", []string{"ctx/Dockerfile", "-> nothing"}, `Dockerfile does not exist`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readDockerfile(contents(t, tt.files...), tt.dockerfile)
			if err != nil {
				got = err.Error()
			}
			if !regexp.MustCompile(tt.want).MatchString(got) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Somebody who may write to the context, a container for one, puts a link in
// the place of the Dockerfile's folder again and again.
func TestDockerfileIsNotLedOutByARace(t *testing.T) {
	dir := contents(t, "ctx/d/F", "inside", "out/F", "outside", "ctx/link", "-> ../out")
	at := func(name string) string { return filepath.Join(dir, "ctx", name) }
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			for _, move := range [][2]string{{"d", "was"}, {"link", "d"}, {"d", "link"}, {"was", "d"}} {
				if err := os.Rename(at(move[0]), at(move[1])); err != nil {
					ended <- err
					return
				}
			}
		}
	}()
	read := 0
	for range 3000 {
		got, err := readDockerfile(dir, "d/F")
		if got == "outside" {
			t.Error("it was led out")
			break
		}
		if err == nil {
			read++
		}
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if read == 0 {
		t.Error("it was never read: nothing was raced")
	}
}
