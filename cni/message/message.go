// Package message builds the texts of errors for a program that must start
// quickly. It knows the verbs %s, %q, %d, %v and %w of package fmt for the few
// types that the plugin puts into errors; fmt itself, and the reflection behind
// it, would be a tenth of an ADD though no error occurs.
package message

import (
	"strconv"
	"strings"
)

// Errorf is that of package fmt: %w wraps, and at most one does.
func Errorf(format string, args ...any) error {
	e := &wrapping{text: Sprintf(format, args...)}
	if strings.Contains(format, "%w") {
		for _, arg := range args {
			if err, ok := arg.(error); ok {
				e.wrapped = err
			}
		}
	}
	return e
}

type wrapping struct {
	text    string
	wrapped error // nil without %w
}

func (w *wrapping) Error() string { return w.text }

func (w *wrapping) Unwrap() error { return w.wrapped }

// Sprintf is that of package fmt. A verb that is not known here, and a missing
// argument, show as they stand.
func Sprintf(format string, args ...any) string {
	var text strings.Builder
	for {
		before, after, found := strings.Cut(format, "%")
		text.WriteString(before)
		if !found {
			return text.String()
		}
		if after == "" || len(args) == 0 || !strings.ContainsRune("sqdvw", rune(after[0])) {
			text.WriteByte('%')
			format = after
			continue
		}
		text.WriteString(show(after[0] == 'q', args[0]))
		format, args = after[1:], args[1:]
	}
}

func show(quoted bool, arg any) string {
	text := plain(arg)
	c, isByte := arg.(byte)
	switch {
	case quoted && isByte:
		return strconv.QuoteRune(rune(c))
	case quoted:
		return strconv.Quote(text)
	}
	return text
}

func plain(arg any) string {
	switch arg := arg.(type) {
	case string:
		return arg
	case []byte:
		return string(arg)
	case byte:
		return strconv.Itoa(int(arg))
	case int:
		return strconv.Itoa(arg)
	case error:
		return arg.Error()
	case interface{ String() string }:
		return arg.String()
	}
	return "(?)" // a type that nobody has put into an error yet
}
