package project

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// readFile reads a file of at most limit bytes that ends: a regular one,
// /dev/null, or a pipe that the shell has opened for us (`-f <(generate)`). A
// device, or a named pipe that nobody may ever write to, is refused unread.
func readFile(path string, limit int) ([]byte, error) {
	if info, err := os.Stat(path); err == nil {
		if err := endsSomewhere(path, info); err != nil {
			return nil, err
		}
	}
	// It may have become something else since: not to block is what counts.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := endsSomewhere(path, info); err != nil {
		return nil, err
	}
	if !openedByShell(path) {
		// Files of the kernel may wait for news; others know no deadline.
		_ = f.SetReadDeadline(time.Now().Add(time.Second))
	}
	content, err := readLimited(f, limit)
	if errors.Is(err, errTooMuch) {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return content, err
}

func endsSomewhere(path string, info fs.FileInfo) error {
	kind := ""
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case mode&fs.ModeNamedPipe != 0:
		if openedByShell(path) {
			return nil
		}
		kind = "a named pipe"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(info, null) {
			return nil
		}
		kind = "a device"
	}
	return fmt.Errorf("%s is %s, not a regular file", path, kind)
}

// openedByShell reports whether a path is that of a descriptor which is
// already open: there is somebody at the other end.
func openedByShell(path string) bool {
	return path == "/dev/stdin" || strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/proc/self/fd/")
}

func readLimited(r io.Reader, limit int) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(content) > limit {
		err = tooMuch("is larger than %d KiB, the most that is read", limit>>10)
	}
	return content, err
}
