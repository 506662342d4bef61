package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// parseTime reads a moment as --since and --until take it: RFC 3339, a date, a
// date and time without zone (local), Unix seconds with or without a fraction,
// or a duration before now ("42m").
func parseTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02Z07:00"} {
		if t, err := time.Parse(form, s); err == nil {
			return t, nil
		}
	}
	for _, form := range []string{"2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(form, s, time.Local); err == nil {
			return t, nil
		}
	}
	return parseUnix(s)
}

func parseUnix(s string) (time.Time, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no time: use RFC 3339, a date, Unix seconds or a duration such as 42m", s)
	}
	nanos := 0.0
	if fraction != "" {
		if strings.Trim(fraction, "0123456789") != "" { // an exponent would be understood, too
			return time.Time{}, fmt.Errorf("%q is no time: its fraction is to be of digits", s)
		}
		nanos, _ = strconv.ParseFloat("0."+fraction, 64) // digits are a number
	}
	return time.Unix(seconds, int64(math.Round(nanos*1e9))), nil
}

// parseTail reads --tail: a number of lines; all else is all of them, -1.
func parseTail(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
