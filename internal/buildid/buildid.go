// Package buildid tells builds of a program apart.
package buildid

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// length of an ID in characters, of six bits each.
const length = 12

// Own is the ID of the running program: equal for equal builds, different for
// any other, and fit to follow a version and a "+". It stays that of the
// program that runs when its file is replaced meanwhile.
var Own = sync.OnceValue(func() string {
	const self = "/proc/self/exe"
	id, err := Of(self)
	if err == nil {
		return id
	}
	info, err := os.Stat(self) // somebody has built it without an ID
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%x.%x", info.Size(), info.ModTime().UnixNano())
})

var errNone = errors.New("the program has no build ID")

// Of is the ID of the Go program at path.
// Source: go tool buildid; cmd/internal/buildid. The note's name is "Go" and
// its type 4; after the last slash stands a hash of the program's content.
func Of(path string) (string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("read build ID: %w", err)
	}
	defer f.Close()
	section := f.Section(".note.go.buildid")
	if section == nil {
		return "", errNone
	}
	note, err := section.Data()
	if err != nil {
		return "", fmt.Errorf("read build ID: %w", err)
	}
	const head = 16 // sizes of name and content, the type, and the name, padded
	if len(note) < head || !bytes.HasPrefix(note[12:], []byte("Go\x00")) {
		return "", errNone
	}
	size := int(binary.NativeEndian.Uint32(note[4:]))
	if size > len(note)-head {
		return "", errNone
	}
	text := string(note[head : head+size])
	hash := text[strings.LastIndexByte(text, '/')+1:]
	if hash == "" {
		return "", errNone
	}
	return hash[:min(len(hash), length)], nil
}
