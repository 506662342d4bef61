package doctor

import (
	"context"
	"fmt"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"
)

// Free space, in bytes, from which on it is told of: enough for a small image,
// and for the records and logs of what runs.
const (
	scarceSpace = 2 << 30
	noSpace     = 64 << 20
)

// Free files (inodes) from which on they are told of; a small image has some thousands.
const (
	scarceFiles = 50_000
	noFiles     = 1_000
)

// disk looks at the space for what survives a reboot, and for what does not.
func disk(_ context.Context, c Config) []Finding {
	all := space(c.Root.State, "images, containers, volumes and logs", scarceSpace, scarceFiles)
	return append(all, space(c.Root.Run, "sockets, and secrets in memory", noSpace, noFiles)...)
}

// space looks at the file system of one folder.
func space(path, holds string, scarceBytes, scarceInodes uint64) []Finding {
	var fs unix.Statfs_t
	if err := unix.Statfs(existing(path), &fs); err != nil {
		return []Finding{unknown("free space for "+path, err)}
	}
	free := fs.Bavail * uint64(fs.Bsize)
	f := Finding{Status: OK, Found: fmt.Sprintf("%s of %s are free at %s", size(free), size(fs.Blocks*uint64(fs.Bsize)), path), Means: "there is room for " + holds}
	switch {
	case free < noSpace:
		f.Status, f.Means, f.Do = Problem, "there is no room for "+holds, "free some: `compose down --rmi all` for projects no longer needed, or a larger disk at "+path
	case free < scarceBytes:
		f.Status, f.Means, f.Do = Warning, "room is scarce for "+holds, "free some before images are pulled or built"
	}
	all := []Finding{f}
	if fs.Files > 0 && fs.Ffree < scarceInodes { // some file systems do not count
		g := Finding{Status: Warning, Found: fmt.Sprintf("%d files more can be made at %s", fs.Ffree, path), Means: "an image may have more files than that", Do: "remove small files, or use a file system with more inodes"}
		if fs.Ffree < noFiles {
			g.Status = Problem
		}
		all = append(all, g)
	}
	return all
}

func size(bytes uint64) string { return units.BytesSize(float64(bytes)) }
