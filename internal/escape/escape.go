// Package escape makes text from elsewhere (files, images, labels, registries,
// builds, errors) safe to print: control characters, and what else does not
// show as itself, become visible escapes, so that no name or message can move
// the cursor, recolour the screen, turn the writing direction or pass for a
// line of its own. All that compose says goes through it, at the edge where it
// is printed and nowhere before; the output of the user's own containers does not.
package escape

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line returns s as it may stand on one line, line ends escaped and tabs as
// spaces.
func Line(s string) string {
	return visible(s, func(r rune) string {
		if r == '\t' {
			return " "
		}
		return ""
	})
}

// Text is Line for text of several lines: line ends and tabs stay.
func Text(s string) string {
	if strings.Contains(s, "\r\n") {
		s = strings.ReplaceAll(s, "\r\n", "\n")
	}
	return visible(s, func(r rune) string {
		if r == '\n' || r == '\t' {
			return string(r)
		}
		return ""
	})
}

// Shows reports whether r shows as itself: it is neither a control character
// (C1 ones too) nor of no width or form, as what turns the direction of text.
func Shows(r rune) bool { return unicode.IsPrint(r) && r != utf8.RuneError }

// visible escapes what does not show, but for what keep has another text.
func visible(s string, keep func(rune) string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !Shows(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch kept := keep(r); {
		case Shows(r):
			b.WriteString(s[:n])
		case kept != "":
			b.WriteString(kept)
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		default:
			b.WriteString(code(r))
		}
		s = s[n:]
	}
	return b.String()
}

// short are the escapes that have names.
var short = map[rune]string{'\a': `\a`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\v': `\v`}

// code is the escape of r. From U+007F on it is JSON's: JSON, which escapes
// those before by itself, stays what it is when it is printed.
func code(r rune) string {
	switch {
	case short[r] != "":
		return short[r]
	case r < ' ':
		return fmt.Sprintf(`\x%02x`, r)
	case r > 0xffff:
		hi, lo := utf16.EncodeRune(r)
		return fmt.Sprintf(`\u%04x\u%04x`, hi, lo)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// Writer returns a writer that passes on what is written to it, made safe as
// by Text. Each write is a text of its own.
func Writer(w io.Writer) io.Writer { return writer{w} }

type writer struct{ to io.Writer }

func (w writer) Write(text []byte) (int, error) {
	if _, err := io.WriteString(w.to, Text(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}
