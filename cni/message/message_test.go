package message

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// TestSprintfIsThatOfFmt compares the two for all that the plugin uses.
func TestSprintfIsThatOfFmt(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		format string
		args   []any
	}{
		"nothing":      {"text", nil},
		"a string":     {"a %s b", []any{"x"}},
		"a quotation":  {"%q", []any{"x\"y\né"}},
		"a number":     {"[%d]", []any{-7}},
		"a byte":       {"%q at %d", []any{byte('['), 3}},
		"an error":     {"%v: %w", []any{errors.New("x"), errors.New("y")}},
		"an address":   {"%s", []any{netip.MustParseAddr("fc00::1")}},
		"a prefix":     {"%v", []any{netip.MustParsePrefix("10.0.0.0/8")}},
		"a duration":   {"%s", []any{10 * time.Second}},
		"bytes":        {"%s", []any{[]byte("x")}},
		"many of them": {"%s%s%q%d", []any{"a", "b", "c", 4}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := fmt.Errorf(tc.format, tc.args...).Error()
			if got := Sprintf(tc.format, tc.args...); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if got := Errorf(tc.format, tc.args...).Error(); got != want {
				t.Errorf("got error %q, want %q", got, want)
			}
		})
	}
}

func TestSprintfShowsItsMisuse(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{"100%": "100%", "%x %s": "%x a", "%s %s": "a %s", "%v": "a"} {
		if got := Sprintf(format, "a"); got != want {
			t.Errorf("%q gives %q, want %q", format, got, want)
		}
	}
	if got, want := Sprintf("%v", 1.5), "(?)"; got != want {
		t.Errorf("a type that is not known gives %q, want %q", got, want)
	}
}

func TestErrorfWrapsWhatItIsTold(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	if err := Errorf("text: %w", cause); !errors.Is(err, cause) {
		t.Errorf("%v does not wrap its cause", err)
	}
	if err := Errorf("text: %v", cause); errors.Is(err, cause) {
		t.Errorf("%v wraps what it should only show", err)
	}
}
