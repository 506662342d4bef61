package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files returns the regular files of an archive by name.
func files(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	reader := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if found[header.Name], err = io.ReadAll(reader); err != nil {
			t.Fatal(err)
		}
	}
}

func TestArchive(t *testing.T) {
	dir := t.TempDir()
	var twice [2][]byte
	for i := range twice {
		out := filepath.Join(dir, "image.tar")
		err := save(out, image{name: "docker.io/library/small:latest", cmd: []string{"/a"}}, func(layer *tar.Writer) error {
			return entry{name: "a", mode: 0o755, content: "content"}.write(layer)
		})
		if err != nil {
			t.Fatal(err)
		}
		if twice[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(twice[0], twice[1]) {
		t.Error("the same image differs from one time to the next")
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files in the folder, want the archive alone", len(left))
	}

	content := files(t, twice[0])
	for name, text := range content {
		if digest, ok := strings.CutPrefix(name, "blobs/sha256/"); ok {
			if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != digest {
				t.Errorf("%s is not what its name says", name)
			}
		}
	}
	var index struct {
		Manifests []struct {
			Digest      string
			Annotations map[string]string
		}
	}
	if err := json.Unmarshal(content["index.json"], &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 1 || index.Manifests[0].Annotations["io.containerd.image.name"] != "docker.io/library/small:latest" {
		t.Fatalf("index.json: %s", content["index.json"])
	}
	if _, ok := content["blobs/sha256/"+strings.TrimPrefix(index.Manifests[0].Digest, "sha256:")]; !ok {
		t.Error("the manifest that index.json names is missing")
	}
	if !strings.Contains(string(content["manifest.json"]), `"small:latest"`) {
		t.Errorf("manifest.json: %s", content["manifest.json"])
	}
}
