package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"
)

// identity is who a process is, in the container's numbers.
type identity struct {
	uid, gid uint32
	groups   []uint32 // the primary one first
}

// identities are the users and groups that a root file system knows.
type identities struct {
	passwd, group []byte // contents; empty when there is no such file
}

// identity finds the ids of a user as written, "name", "uid", "name:group" or
// "uid:gid", and of further groups. The image's own files are looked at once
// for each image, and not at all when numbers say everything.
func (c *Client) identity(ctx context.Context, img Image, who string, groups []string) (identity, error) {
	known := &identities{}
	if needsNames(who, groups) {
		var err error
		if known, err = c.imageIdentities(ctx, img); err != nil {
			return identity{}, err
		}
	}
	return known.find(who, groups)
}

// imageIdentities reads the users and groups of an image.
func (c *Client) imageIdentities(ctx context.Context, img Image) (*identities, error) {
	return c.identities.get(img.ChainID, func() (_ *identities, retErr error) {
		root, release, err := c.MountImage(ctx, img)
		if err != nil {
			return nil, err
		}
		defer func() {
			if err := release(); retErr == nil {
				retErr = err
			}
		}()
		return readIdentities(root)
	})
}

// needsNames tells whether users or groups have to be looked up: only
// "uid:gid" with numeric groups does without, since the groups of a user and
// the primary one of a mere uid are in the files.
func needsNames(who string, groups []string) bool {
	uid, gid, both := strings.Cut(who, ":")
	if !both || !numeric(uid) || !numeric(gid) {
		return true
	}
	return slices.ContainsFunc(groups, func(g string) bool { return !numeric(g) })
}

func numeric(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}

// find returns the ids of a user as written and of further groups.
func (k *identities) find(who string, groups []string) (identity, error) {
	u, err := user.GetExecUser(who, &user.ExecUser{}, bytes.NewReader(k.passwd), bytes.NewReader(k.group))
	if err != nil {
		return identity{}, fmt.Errorf("user %q: %w", who, err)
	}
	more, err := user.GetAdditionalGroups(groups, bytes.NewReader(k.group))
	if err != nil {
		return identity{}, fmt.Errorf("group_add: %w", err)
	}
	slices.Sort(more) // they come in the order of a map
	id := identity{uid: uint32(u.Uid), gid: uint32(u.Gid)}
	seen := map[int]bool{} // an image's file may name millions
	for _, g := range slices.Concat([]int{u.Gid}, u.Sgids, more) {
		if !seen[g] {
			seen[g] = true
			id.groups = append(id.groups, uint32(g))
		}
	}
	return id, nil
}

// maxIdentityFile bounds /etc/passwd and /etc/group, in bytes: an image is not
// trusted to be reasonable.
const maxIdentityFile = 16 << 20

// readIdentities reads the users and groups of a root file system.
func readIdentities(root string) (*identities, error) {
	passwd, err := readInside(root, "etc/passwd")
	if err != nil {
		return nil, err
	}
	group, err := readInside(root, "etc/group")
	if err != nil {
		return nil, err
	}
	return &identities{passwd: passwd, group: group}, nil
}

// readInside reads a regular file below root, no symbolic link leading outside.
// A file that is not there is empty.
func readInside(root, name string) ([]byte, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root, err)
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open /%s of the image: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(f, maxIdentityFile+1))
	if err != nil {
		return nil, fmt.Errorf("read /%s of the image: %w", name, err)
	}
	if len(data) > maxIdentityFile {
		return nil, fmt.Errorf("/%s of the image is larger than %d bytes", name, maxIdentityFile)
	}
	return data, nil
}
