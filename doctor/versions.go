package doctor

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// oldestKernel is the one that compose is made for: 5.10, of Debian 11.
var oldestKernel = [2]int{5, 10}

// versions names those of all that takes part.
func versions(ctx context.Context, c Config) []Finding {
	all := []Finding{
		{Status: OK, Found: "compose " + c.Version, Means: "the command that you run"},
		kernelVersion(),
	}
	if c.Bundle == nil || c.Bundle.Dir == "" {
		return append(all, noBinaries(c))
	}
	for _, p := range []struct {
		name, means, do string
		status          Status
	}{
		{"containerd", "it keeps images and containers", "run `make` in the source folder, or install compose again", Problem},
		{"containerd-shim-runc-v2", "it stays with each running container", "run `make` in the source folder, or install compose again", Problem},
		{"runc", "it starts containers", "run `make` in the source folder, or install compose again", Problem},
		{"buildkitd", "it builds images", "run `make` in the source folder; without it only `build:` fails", Warning},
	} {
		version, err := programVersion(ctx, filepath.Join(c.Bundle.Dir, p.name))
		if err != nil {
			all = append(all, Finding{Status: p.status, Found: fmt.Sprintf("%s does not run (%v)", p.name, cause(err)), Means: "without it, nobody does this: " + p.means, Do: p.do})
			continue
		}
		all = append(all, Finding{Status: OK, Found: p.name + " " + version, Means: p.means})
	}
	return all
}

func noBinaries(c Config) Finding {
	if c.Bundle != nil { // another's containerd is used, which has its own
		return Finding{Status: Warning, Found: "no engine of our own is installed", Means: "the containerd at " + c.Bundle.Address + " runs containers, and nothing can be built", Do: "run `make` in the source folder if you build images"}
	}
	return Finding{Status: Problem, Found: fmt.Sprint(c.BundleError), Means: "no container can be started", Do: "run `make` in the source folder, or install compose again"}
}

func kernelVersion() Finding {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return unknown("the kernel's version", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	if olderThan(release, oldestKernel) {
		return Finding{Status: Warning, Found: "Linux " + release, Means: fmt.Sprintf("compose is made for %d.%d or later, and tested with nothing older", oldestKernel[0], oldestKernel[1]), Do: "upgrade the kernel"}
	}
	return Finding{Status: OK, Found: "Linux " + release, Means: "the kernel is new enough"}
}

// olderThan compares a release, "6.1.0-28-amd64", with a version. What cannot
// be read is taken as new.
func olderThan(release string, version [2]int) bool {
	major, rest, _ := strings.Cut(release, ".")
	minor := rest
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		minor = rest[:i]
	}
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	return err1 == nil && err2 == nil && (a < version[0] || a == version[0] && b < version[1])
}

// programLimit is how long a program may take to print its version.
const programLimit = 10 * time.Second

// versionNumber is a version as programs print it, "v2.4.2" or "1.5.2".
var versionNumber = regexp.MustCompile(`\bv?(\d+\.\d+[^\s,]*)`)

func programVersion(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, programLimit)
	defer cancel()
	flag := "--version"
	if strings.HasSuffix(path, "containerd-shim-runc-v2") {
		flag = "-v"
	}
	out, err := exec.CommandContext(ctx, path, flag).Output()
	if err != nil {
		return "", err
	}
	if m := versionNumber.FindStringSubmatch(string(out)); m != nil {
		return m[1], nil
	}
	return "of an unknown version", nil
}
