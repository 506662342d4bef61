package main

import (
	"archive/tar"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// busybox makes an image of one static binary, a link for each of its applets,
// and the few files without which users and temporary files do not work.
func busybox(out string) error {
	binary, applets, err := findBusybox()
	if err != nil {
		return err
	}
	img := image{
		name: "docker.io/library/busybox:latest",
		env:  []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		cmd:  []string{"sh"},
	}
	return save(out, img, func(layer *tar.Writer) error {
		for _, entry := range busyboxEntries(applets) {
			if err := entry.write(layer); err != nil {
				return err
			}
		}
		return entry{name: "bin/busybox", mode: 0o755, content: string(binary)}.write(layer)
	})
}

// findBusybox returns the host's busybox and the names it answers to.
func findBusybox() (binary []byte, applets []string, err error) {
	const path = "/bin/busybox"
	program, err := elf.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%w (apt-get install busybox-static)", err)
	}
	defer program.Close()
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			return nil, nil, fmt.Errorf("%s needs shared libraries (apt-get install busybox-static)", path)
		}
	}
	list, err := exec.Command(path, "--list").Output()
	if err != nil {
		return nil, nil, fmt.Errorf("list applets of %s: %w", path, err)
	}
	binary, err = os.ReadFile(path)
	return binary, strings.Fields(string(list)), err
}

// entry is a folder (its name ends in a slash), a link or a file.
type entry struct {
	name    string
	mode    int64
	link    string
	content string
}

func (e entry) write(layer *tar.Writer) error {
	header := &tar.Header{Name: e.name, Mode: e.mode, ModTime: made, Format: tar.FormatPAX}
	switch {
	case strings.HasSuffix(e.name, "/"):
		header.Typeflag = tar.TypeDir
	case e.link != "":
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, e.link, 0o777
	default:
		header.Typeflag, header.Size = tar.TypeReg, int64(len(e.content))
	}
	if err := layer.WriteHeader(header); err != nil {
		return err
	}
	_, err := layer.Write([]byte(e.content))
	return err
}

func busyboxEntries(applets []string) []entry {
	entries := []entry{
		{name: "bin/", mode: 0o755},
		{name: "dev/", mode: 0o755},
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, content: "root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nusers:x:100:\nnogroup:x:65534:\n"},
		{name: "etc/passwd", mode: 0o644, content: "root:x:0:0:root:/root:/bin/sh\n" +
			"daemon:x:1:1:daemon:/usr/sbin:/bin/false\n" +
			"www-data:x:33:33:www-data:/var/www:/bin/false\n" +
			"nobody:x:65534:65534:nobody:/home:/bin/false\n"},
		{name: "home/", mode: 0o755},
		{name: "proc/", mode: 0o755},
		{name: "root/", mode: 0o700},
		{name: "sys/", mode: 0o755},
		{name: "tmp/", mode: 0o1777},
		{name: "usr/", mode: 0o755},
		{name: "usr/bin/", mode: 0o755},
		{name: "usr/bin/env", link: "/bin/env"}, // where scripts expect it
		{name: "var/", mode: 0o755},
		{name: "var/www/", mode: 0o755},
	}
	slices.Sort(applets)
	for _, applet := range applets {
		if applet != "busybox" {
			entries = append(entries, entry{name: filepath.Join("bin", applet), link: "busybox"})
		}
	}
	return entries
}
