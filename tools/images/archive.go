package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// made is the time that every file and image bears, so that its bytes do not
// depend on when it was made.
var made = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// image is what an archive holds besides its one layer.
type image struct {
	name string // full reference, "docker.io/library/busybox:latest"
	env  []string
	cmd  []string
}

// blob is a part of an OCI layout.
type blob struct {
	digest string // hex of its SHA-256
	size   int64
	path   string // of a file that holds it, or
	bytes  []byte
}

// save writes an archive of one image with one layer, which fill writes. It is
// both an OCI layout and what `docker save` writes, so that every tool reads it.
func save(out string, img image, fill func(*tar.Writer) error) (retErr error) {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(out), ".image")
	if err != nil {
		return err
	}
	defer func() { retErr = errors.Join(retErr, os.RemoveAll(dir)) }()
	layer, diffID, err := writeLayer(filepath.Join(dir, "layer"), fill)
	if err != nil {
		return fmt.Errorf("layer of %s: %w", img.name, err)
	}
	parts, err := describe(img, layer, diffID)
	if err != nil {
		return err
	}
	whole := filepath.Join(dir, "whole")
	if err := writeArchive(whole, parts); err != nil {
		return err
	}
	return os.Rename(whole, out)
}

// writeLayer returns the compressed layer and the digest of what is in it.
func writeLayer(path string, fill func(*tar.Writer) error) (layer blob, diffID string, err error) {
	file, err := os.Create(path)
	if err != nil {
		return blob{}, "", err
	}
	defer file.Close()
	packed, plain := sha256.New(), sha256.New()
	zip := gzip.NewWriter(io.MultiWriter(file, packed))
	entries := tar.NewWriter(io.MultiWriter(zip, plain))
	if err := fill(entries); err != nil {
		return blob{}, "", err
	}
	if err := errors.Join(entries.Close(), zip.Close()); err != nil {
		return blob{}, "", err
	}
	size, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return blob{}, "", err
	}
	return blob{digest: hex.EncodeToString(packed.Sum(nil)), size: size, path: path}, hex.EncodeToString(plain.Sum(nil)), file.Close()
}

// part is one file of an archive.
type part struct {
	name string
	blob
}

type object map[string]any

// describe returns all files of the archive of an image, in their order.
// Source: OCI Image Specification 1.1, image layout, manifest and config; and
// manifest.json as Docker Image Specification 1.2 has it.
func describe(img image, layer blob, diffID string) ([]part, error) {
	const base = "application/vnd.oci.image."
	config, err := jsonBlob(object{
		"created":      made,
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       object{"Env": img.env, "Cmd": img.cmd},
		"rootfs":       object{"type": "layers", "diff_ids": []string{"sha256:" + diffID}},
		"history":      []object{{"created": made, "created_by": "images " + img.name}},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := jsonBlob(object{
		"schemaVersion": 2,
		"mediaType":     base + "manifest.v1+json",
		"config":        descriptor(base+"config.v1+json", config),
		"layers":        []object{descriptor(base+"layer.v1.tar+gzip", layer)},
	})
	if err != nil {
		return nil, err
	}
	entry := descriptor(base+"manifest.v1+json", manifest)
	entry["platform"] = object{"architecture": runtime.GOARCH, "os": "linux"}
	entry["annotations"] = object{
		"io.containerd.image.name":          img.name,
		"org.opencontainers.image.ref.name": img.name[strings.LastIndexByte(img.name, ':')+1:],
	}
	index, err := jsonBlob(object{"schemaVersion": 2, "mediaType": base + "index.v1+json", "manifests": []object{entry}})
	if err != nil {
		return nil, err
	}
	docker, err := jsonBlob([]object{{
		"Config":   blobPath(config),
		"RepoTags": []string{strings.TrimPrefix(img.name, "docker.io/library/")},
		"Layers":   []string{blobPath(layer)},
	}})
	if err != nil {
		return nil, err
	}
	layout, err := jsonBlob(object{"imageLayoutVersion": "1.0.0"})
	if err != nil {
		return nil, err
	}
	return []part{
		{"oci-layout", layout}, {"index.json", index}, {"manifest.json", docker},
		{blobPath(manifest), manifest}, {blobPath(config), config}, {blobPath(layer), layer},
	}, nil
}

func descriptor(mediaType string, b blob) object {
	return object{"mediaType": mediaType, "digest": "sha256:" + b.digest, "size": b.size}
}

func blobPath(b blob) string { return "blobs/sha256/" + b.digest }

func jsonBlob(value any) (blob, error) {
	text, err := json.Marshal(value) // maps are written in the order of their keys
	if err != nil {
		return blob{}, err
	}
	sum := sha256.Sum256(text)
	return blob{digest: hex.EncodeToString(sum[:]), size: int64(len(text)), bytes: text}, nil
}

func writeArchive(path string, parts []part) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	archive := tar.NewWriter(file)
	for _, p := range parts {
		if err := archive.WriteHeader(&tar.Header{Name: p.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: p.size, ModTime: made}); err != nil {
			return err
		}
		if err := copyPart(archive, p); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), file.Close())
}

func copyPart(to io.Writer, p part) error {
	if p.path == "" {
		_, err := io.Copy(to, bytes.NewReader(p.bytes))
		return err
	}
	file, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(to, file)
	return err
}
