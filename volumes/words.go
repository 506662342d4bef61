package volumes

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/compose-first/compose/project"
)

// Words of a volume's or bind's options.
const (
	wordReadOnly    = "ro"
	wordNoCopy      = "nocopy"
	wordCreate      = "create"
	wordShared      = types.SELinuxShared  // z
	wordOwn         = types.SELinuxPrivate // Z
	prefixSubpath   = "subpath="
	prefixRecursive = "recursive="
)

// Modes of bind.recursive.
// Source: Compose Specification, 05-services.md, volumes, bind.recursive.
const (
	recursiveEnabled  = "enabled"
	recursiveDisabled = "disabled"
	recursiveWritable = "writable"
	recursiveReadonly = "readonly"
)

var recursives = []string{recursiveEnabled, recursiveDisabled, recursiveWritable, recursiveReadonly}

var propagations = []string{
	types.PropagationRPrivate, types.PropagationPrivate,
	types.PropagationRShared, types.PropagationShared,
	types.PropagationRSlave, types.PropagationSlave,
}

func accessWords(v types.ServiceVolumeConfig) []string {
	if v.ReadOnly {
		return []string{wordReadOnly}
	}
	return nil
}

// withSubpath adds a folder inside a volume to words. That no link leads out
// of the volume is found when it is opened.
func withSubpath(words []string, subpath string) ([]string, error) {
	if subpath == "" {
		return words, nil
	}
	if !filepath.IsLocal(subpath) {
		return nil, fmt.Errorf("subpath %q leads out of the volume", subpath)
	}
	if strings.ContainsFunc(subpath, isControl) {
		return nil, fmt.Errorf("subpath %q has a control character", subpath)
	}
	return append(words, prefixSubpath+filepath.Clean(subpath)), nil
}

// withSELinux adds who may use what is mounted to words: z, all containers, or
// Z, this one.
func withSELinux(words []string, mode string) ([]string, error) {
	switch mode {
	case "":
		return words, nil
	case wordShared, wordOwn:
		return append(words, mode), nil
	}
	return nil, fmt.Errorf("bind.selinux: unknown mode %q: there are %s and %s", mode, wordShared, wordOwn)
}

// valueOf returns what follows prefix in that word of m, or "".
func valueOf(m project.MountInfo, prefix string) string {
	for _, o := range m.Options {
		if v, ok := strings.CutPrefix(o, prefix); ok {
			return v
		}
	}
	return ""
}

func has(m project.MountInfo, word string) bool { return slices.Contains(m.Options, word) }

// propagation returns the propagation mode of m, "rprivate" where it has none.
// Source: Docker, bind mounts: the default is rprivate.
func propagation(m project.MountInfo) string {
	for _, o := range m.Options {
		if slices.Contains(propagations, o) {
			return o
		}
	}
	return types.PropagationRPrivate
}

// tmpfsDefaults are set unless an option says the opposite.
// Source: Docker, "docker run --tmpfs".
var tmpfsDefaults = []struct{ word, opposite string }{
	{"nosuid", "suid"}, {"nodev", "dev"}, {"noexec", "exec"},
}

// tmpfsWords are mount options without a value.
// Source: mount(8), filesystem-independent mount options.
var tmpfsWords = []string{
	"ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync",
	"atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime",
}

// tmpfsValues checks the values of mount options that have one.
// Source: tmpfs(5).
var tmpfsValues = map[string]func(string) error{
	"size": size, "nr_blocks": size, "nr_inodes": size,
	"mode": func(v string) error { _, err := strconv.ParseUint(v, 8, 12); return err },
	"uid":  number, "gid": number,
	"huge": oneOf("never", "always", "within_size", "advise"),
	"mpol": oneOf("default", "local", "interleave", "bind", "prefer"),
}

func number(v string) error { _, err := strconv.ParseUint(v, 10, 32); return err }

// size accepts what the kernel does: a number with k, m, g or, but not for
// counts, a percentage.
func size(v string) error {
	_, err := strconv.ParseUint(strings.TrimRight(strings.ToLower(v), "kmg%"), 10, 63)
	return err
}

func oneOf(words ...string) func(string) error {
	return func(v string) error {
		if base, _, _ := strings.Cut(v, ":"); slices.Contains(words, base) {
			return nil
		}
		return fmt.Errorf("%q is none of %s", v, strings.Join(words, ", "))
	}
}

// shortTmpfs returns the mount of one entry of a service's tmpfs,
// PATH[:OPTIONS]. Without a mode the runtime takes that of the image's folder.
func shortTmpfs(entry string) (Want, error) {
	target, words, _ := strings.Cut(entry, ":")
	var options []string
	for w := range strings.SplitSeq(words, ",") {
		if w == "" {
			continue
		}
		if err := checkTmpfsOption(w); err != nil {
			return Want{}, err
		}
		options = append(options, w)
	}
	return Want{Info: project.MountInfo{Type: TypeTmpfs, Target: target, Options: withTmpfsDefaults(options)}}, nil
}

func checkTmpfsOption(word string) error {
	name, value, hasValue := strings.Cut(word, "=")
	if !hasValue && slices.Contains(tmpfsWords, name) {
		return nil
	}
	check, ok := tmpfsValues[name]
	if !ok || !hasValue {
		return fmt.Errorf("unknown tmpfs option %q", word)
	}
	if err := check(value); err != nil {
		return fmt.Errorf("tmpfs option %q: %w", word, err)
	}
	return nil
}

func withTmpfsDefaults(options []string) []string {
	var all []string
	for _, d := range tmpfsDefaults {
		if !slices.Contains(options, d.opposite) && !slices.Contains(options, d.word) {
			all = append(all, d.word)
		}
	}
	return append(all, options...)
}

// longTmpfs returns the mount of an entry of a service's volumes with type tmpfs.
func longTmpfs(v types.ServiceVolumeConfig) (Want, error) {
	if v.Source != "" {
		return Want{}, fmt.Errorf("a tmpfs has no source, not %q", v.Source)
	}
	mode := uint32(0o1777)
	var options []string
	if v.ReadOnly {
		options = append(options, wordReadOnly)
	}
	if v.Tmpfs != nil {
		if v.Tmpfs.Size < 0 {
			return Want{}, fmt.Errorf("tmpfs.size: %d is negative", v.Tmpfs.Size)
		}
		if v.Tmpfs.Size > 0 {
			options = append(options, fmt.Sprintf("size=%d", v.Tmpfs.Size))
		}
		if v.Tmpfs.Mode > 0o7777 {
			return Want{}, fmt.Errorf("tmpfs.mode: %o has more than permission bits", v.Tmpfs.Mode)
		}
		if v.Tmpfs.Mode != 0 {
			mode = v.Tmpfs.Mode
		}
	}
	options = append(options, fmt.Sprintf("mode=%04o", mode))
	return Want{Info: project.MountInfo{Type: TypeTmpfs, Target: v.Target, Options: withTmpfsDefaults(options)}}, nil
}
