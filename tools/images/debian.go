package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// mirror is where packages come from, while the image is made and in it.
const mirror = "http://deb.debian.org/debian"

// sources is the image's list of package sources.
const sources = `Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`

// debian makes the smallest Debian 12 that apt can add to, with the packages
// named.
func debian(out, name string, packages ...string) (retErr error) {
	tool, err := exec.LookPath("debootstrap")
	if err != nil {
		return fmt.Errorf("%w (apt-get install debootstrap)", err)
	}
	if os.Geteuid() != 0 {
		return errors.New("debootstrap must run as root")
	}
	dir, err := os.MkdirTemp("", "debian")
	if err != nil {
		return err
	}
	defer func() { retErr = errors.Join(retErr, os.RemoveAll(dir)) }()
	root := filepath.Join(dir, "root")
	cmd := exec.Command(tool, "--variant=minbase", "--include="+strings.Join(packages, ","), "bookworm", root, mirror)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("debootstrap: %w", err)
	}
	if err := trim(root); err != nil {
		return fmt.Errorf("trim: %w", err)
	}
	img := image{
		name: name,
		env:  []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		cmd:  []string{"bash"},
	}
	return save(out, img, func(layer *tar.Writer) error { return addTree(layer, root) })
}

// unwanted are paths that no container needs: caches, logs, documents and
// translations. What apt installs later leaves out the last two as well.
var unwanted = []string{
	"var/cache/apt/*", "var/lib/apt/lists/*", "var/cache/debconf/*-old", "var/cache/ldconfig/*",
	"var/log/*", "var/lib/dpkg/*-old", "debootstrap",
	"usr/share/doc/*", "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*", "usr/share/lintian/*",
	"etc/machine-id", "etc/hostname", "etc/resolv.conf",
	"dev/*", "tmp/*", "run/*",
}

// settings are files that make apt and dpkg fit for image builds: no service is
// started by an installation, no downloaded package is kept.
var settings = map[string]string{
	"usr/sbin/policy-rc.d": "#!/bin/sh\n# No service is started in an image build.\nexit 101\n",
	"etc/apt/apt.conf.d/docker-clean": "APT::Keep-Downloaded-Packages \"false\";\n" +
		"Dir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\nAcquire::Languages \"none\";\n",
	"etc/dpkg/dpkg.cfg.d/slim": "force-unsafe-io\n" + // an image build that loses power begins anew
		"path-exclude /usr/share/doc/*\npath-include /usr/share/doc/*/copyright\n" +
		"path-exclude /usr/share/man/*\npath-exclude /usr/share/info/*\npath-exclude /usr/share/locale/*\npath-exclude /usr/share/lintian/*\n",
	"etc/apt/sources.list.d/debian.sources": sources,
}

func trim(root string) error {
	for _, pattern := range unwanted {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	if err := os.RemoveAll(filepath.Join(root, "etc/apt/sources.list")); err != nil {
		return err
	}
	for name, content := range settings {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if filepath.Dir(name) == "usr/sbin" {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			return err
		}
	}
	return nil
}

// addTree adds all below root, with owners, modes and hard links kept and all
// times set to the same. Sockets, pipes and devices are left out: a container
// gets its own.
func addTree(layer *tar.Writer, root string) error {
	first := map[uint64]string{} // inode of a file with several names → the name it was added by
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.IsDir() && !info.Mode().IsRegular() && info.Mode().Type() != fs.ModeSymlink {
			return nil
		}
		return addFile(layer, path, name, info, first)
	})
}

func addFile(layer *tar.Writer, path, name string, info fs.FileInfo, first map[uint64]string) error {
	var link string
	if info.Mode().Type() == fs.ModeSymlink {
		var err error
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	header.Name, header.Format = name, tar.FormatPAX
	header.ModTime, header.AccessTime, header.ChangeTime = made, time.Time{}, time.Time{}
	header.Uname, header.Gname = "", "" // numbers alone count
	if info.IsDir() {
		header.Name += "/"
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode().IsRegular() && stat.Nlink > 1 {
		if earlier, ok := first[stat.Ino]; ok {
			header.Typeflag, header.Linkname, header.Size = tar.TypeLink, earlier, 0
			return layer.WriteHeader(header)
		}
		first[stat.Ino] = name
	}
	if err := layer.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(layer, file)
	return err
}
