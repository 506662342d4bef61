package progress

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape returns s safe to print on a line of a terminal: control characters
// and bytes that are no UTF-8 become visible escapes (`\x1b`), so that no name
// or message from elsewhere can move the cursor or recolour the screen.
func Escape(s string) string {
	if strings.IndexFunc(s, unsafe) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == '\t':
			b.WriteByte(' ')
		case unsafe(r):
			q := strconv.QuoteToASCII(s[:n])
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteRune(r)
		}
		s = s[n:]
	}
	return b.String()
}

// EscapeText is Escape for text of several lines: line ends stay.
func EscapeText(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Escape(strings.TrimSuffix(line, "\r"))
	}
	return strings.Join(lines, "\n")
}

// unsafe holds for what does not print: controls (C1 ones too), direction
// overrides, and what stands for a broken byte.
func unsafe(r rune) bool {
	return r == utf8.RuneError || !unicode.IsPrint(r)
}
