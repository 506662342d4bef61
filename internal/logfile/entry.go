package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// The streams of a container. With a terminal there is only Stdout.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// MaxText is the longest text of one entry, in bytes: a longer line becomes
// several entries, all but the last of them partial.
// Source: the container runtimes split lines at 16 KiB.
const MaxText = 16 << 10

// timeLength is that of a formatted time. It is fixed, so that an entry which
// is written a second time, after a crash, covers the same bytes.
const timeLength = len("2006-01-02T15:04:05.000000000Z")

// ErrGarbled means that a line is none of this format: cut short, overwritten
// or never ours.
var ErrGarbled = errors.New("garbled log line")

// Entry is one line of a log file.
type Entry struct {
	Time    time.Time // UTC
	Stream  string    // Stdout or Stderr
	Partial bool      // the container has not ended this text with a newline
	Text    []byte    // without the newline; any bytes but that
}

// Append appends e as a line, newline included, to dst and returns it.
func Append(dst []byte, e Entry) []byte {
	dst = appendTime(dst, e.Time)
	dst = append(dst, ' ')
	dst = append(dst, e.Stream...)
	if e.Partial {
		dst = append(dst, " P "...)
	} else {
		dst = append(dst, " F "...)
	}
	dst = append(dst, e.Text...)
	return append(dst, '\n')
}

// Parse reads one line, with or without its newline. Text shares its memory
// with line. Zero bytes before the time, which a power cut may leave, are
// passed over; all else that is not of the format is ErrGarbled.
func Parse(line []byte) (Entry, error) {
	line = bytes.TrimSuffix(bytes.TrimLeft(line, "\x00"), []byte{'\n'})
	stamp, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok {
		return Entry{}, ErrGarbled
	}
	t, err := parseTime(stamp)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrGarbled, err)
	}
	e := Entry{Time: t}
	switch {
	case bytes.HasPrefix(rest, []byte("stdout ")):
		e.Stream = Stdout
	case bytes.HasPrefix(rest, []byte("stderr ")):
		e.Stream = Stderr
	default:
		return Entry{}, ErrGarbled
	}
	rest = rest[len("stdout "):]
	switch {
	case bytes.HasPrefix(rest, []byte("F ")):
	case bytes.HasPrefix(rest, []byte("P ")):
		e.Partial = true
	default:
		return Entry{}, ErrGarbled
	}
	e.Text = rest[2:]
	return e, nil
}

// appendTime appends t in UTC with nine digits of a second. It does by hand
// what time.AppendFormat does with a layout, in a quarter of the time: each
// line of each container goes through here.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = appendDigits(dst, year, 4)
	dst = append(dst, '-')
	dst = appendDigits(dst, int(month), 2)
	dst = append(dst, '-')
	dst = appendDigits(dst, day, 2)
	dst = append(dst, 'T')
	dst = appendDigits(dst, hour, 2)
	dst = append(dst, ':')
	dst = appendDigits(dst, minute, 2)
	dst = append(dst, ':')
	dst = appendDigits(dst, second, 2)
	dst = append(dst, '.')
	dst = appendDigits(dst, t.Nanosecond(), 9)
	return append(dst, 'Z')
}

// appendDigits appends the last width decimal digits of n, which is not negative.
func appendDigits(dst []byte, n, width int) []byte {
	at := len(dst)
	dst = append(dst, "000000000"[:width]...)
	for i := at + width - 1; i >= at && n > 0; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}

// parseTime reads a time as appendTime writes it, or any RFC 3339 time.
func parseTime(b []byte) (time.Time, error) {
	if t, ok := parseOwnTime(b); ok {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339Nano, string(b))
	return t.UTC(), err
}

// parseOwnTime reads exactly what appendTime writes, and reports whether b is that.
func parseOwnTime(b []byte) (time.Time, bool) {
	if len(b) != timeLength || b[4] != '-' || b[7] != '-' || b[10] != 'T' ||
		b[13] != ':' || b[16] != ':' || b[19] != '.' || b[29] != 'Z' {
		return time.Time{}, false
	}
	ok := true
	number := func(from, to int) int {
		n := 0
		for _, c := range b[from:to] {
			ok = ok && '0' <= c && c <= '9'
			n = n*10 + int(c-'0')
		}
		return n
	}
	year, month, day := number(0, 4), number(5, 7), number(8, 10)
	hour, minute, second, nano := number(11, 13), number(14, 16), number(17, 19), number(20, 29)
	if !ok || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, nano, time.UTC), true
}
