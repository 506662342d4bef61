package escape

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain":           "plain",
		"ünï ✔ 世界":        "ünï ✔ 世界",
		"\x1b[2Jgone":     `\x1b[2Jgone`,
		"bell\a":          `bell\a`,
		"one\rtwo":        `one\rtwo`,
		"one\r\ntwo\n":    `one\r\ntwo\n`,
		"a\tb":            "a b",
		"\x7f":            `\u007f`,
		"\u009b31m":       `\u009b31m`,
		"\x9b31m":         `\x9b31m`,
		"\u202egnp.exe":   `\u202egnp.exe`,
		"a\u200bb\ufeff":  `a\u200bb\ufeff`,
		"\u2028":          `\u2028`,
		"\ufffd":          `\ufffd`,
		"tag \U000e0041.": `tag \udb40\udc41.`,
		"nul\x00":         `nul\x00`,
	} {
		if got := Line(in); got != want {
			t.Errorf("Line(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestText(t *testing.T) {
	if got, want := Text("one\r\ntwo\x07\n\tthree\r\x1b"), "one\ntwo\\a\n\tthree\\r\\x1b"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzWriter holds that nothing unsafe passes, that what is safe is not
// touched again, and that JSON keeps its meaning.
func FuzzWriter(f *testing.F) {
	for _, s := range []string{"", "plain\n", "\x1b]0;title\a", "\u202e\u009b", "\xff\xfe", "\U000e0041\r\n", `\x1b "quoted"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := write(t, s)
		if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && r != '\t' && !Shows(r) }); i >= 0 {
			t.Errorf("%q lets %q through", s, out[i:])
		}
		if again := write(t, out); again != out {
			t.Errorf("%q escapes to %q and that to %q", s, out, again)
		}
		text, err := json.Marshal(map[string]string{s: s})
		if err != nil {
			t.Fatal(err)
		}
		var before, after map[string]string
		if err := json.Unmarshal(text, &before); err != nil {
			t.Fatal(err)
		}
		printed := write(t, string(text))
		if err := json.Unmarshal([]byte(printed), &after); err != nil {
			t.Fatalf("%q is no JSON: %v", printed, err)
		}
		for k, v := range before {
			if after[k] != v {
				t.Errorf("JSON %q of %q reads as %q", printed, v, after)
			}
		}
	})
}

func write(t *testing.T, s string) string {
	var b bytes.Buffer
	if n, err := Writer(&b).Write([]byte(s)); err != nil || n != len(s) {
		t.Fatal(n, err)
	}
	return b.String()
}
