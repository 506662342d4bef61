package project

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// unprintable reports characters that must not reach a terminal or a file
// name: control and format characters (escape sequences, line ends, text
// direction marks) and what is no valid text.
func unprintable(r rune) bool {
	return r == unicode.ReplacementChar || r != ' ' && !unicode.IsPrint(r)
}

// Forms of names.
// Sources: Compose Specification, 04-version-and-name.md and 05-services.md;
// container names as Docker Engine checks them; host names RFC 1123, 2.1.
var (
	serviceForm   = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)
	containerForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)
	resourceForm  = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)
	profileForm   = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)
	hostLabelForm = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`)
	interfaceForm = regexp.MustCompile(`^[^\s/:]{1,15}$`)
)

// checkHostname checks an RFC 1123 name. Underscores are let through, as
// Docker Engine does: service names have them.
func checkHostname(name string) error {
	if len(name) > 253 {
		return fmt.Errorf("host name %s is longer than 253 characters", name)
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) > 63 || !hostLabelForm.MatchString(strings.ReplaceAll(label, "_", "-")) {
			return fmt.Errorf("invalid host name %q: not an RFC 1123 name", name)
		}
	}
	return nil
}

// checkPathName checks a name that becomes part of a path or is shown on a
// terminal.
func checkPathName(kind, name string) error {
	if !resourceForm.MatchString(name) {
		return fmt.Errorf("invalid %s name %q: must match [a-zA-Z0-9][a-zA-Z0-9_.-]*", kind, name)
	}
	if len(name) > 200 {
		return fmt.Errorf("invalid %s name %.40q…: longer than 200 characters", kind, name)
	}
	return nil
}

// parseAddress reads an IP address without a zone.
func parseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("invalid ip address %q", s)
	}
	return a.Unmap(), nil
}

// parsePortRange reads "80" or "80-90", each 1 to 65535.
func parsePortRange(s string) (lo, hi uint16, err error) {
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	if errA != nil || errB != nil || a == 0 || b < a {
		return 0, 0, fmt.Errorf("invalid port %q: not 1 to 65535", s)
	}
	return uint16(a), uint16(b), nil
}
