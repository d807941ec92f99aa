package strictjson

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		text    string
		known   []string
		want    Object
		wantErr string
	}{
		"an empty object":                      {text: ` {} `, want: Object{}},
		"values stay undecoded":                {text: `{"a": {"b":1}, "c":null}`, want: Object{"a": json.RawMessage(`{"b":1}`), "c": json.RawMessage(`null`)}},
		"a known key passes":                   {text: `{"a":1}`, known: []string{"b", "a"}, want: Object{"a": json.RawMessage(`1`)}},
		"an unknown key is named":              {text: `{"a":1}`, known: []string{"b"}, wantErr: `unknown key "a"`},
		"letters of another case are unknown":  {text: `{"A":1}`, known: []string{"a"}, wantErr: `unknown key "A"`},
		"a key that is there twice is named":   {text: `{"a":1,"a":2}`, wantErr: `key "a" is there twice`},
		"an escape does not hide a second key": {text: `{"a":1,"\u0061":2}`, wantErr: `key "a" is there twice`},
		"nothing at all":                       {text: ``, wantErr: "the text ends before the object does"},
		"an object without its end":            {text: `{"a":1`, wantErr: "the text ends before the object does"},
		"a value without its end":              {text: `{"a":[1`, wantErr: `key "a": the text ends before the object does`},
		"a list":                               {text: `[1]`, wantErr: `want an object, found "["`},
		"null":                                 {text: `null`, wantErr: `want an object, found null`},
		"a number":                             {text: `7`, wantErr: `want an object, found 7`},
		"text behind":                          {text: `{} x`, wantErr: "text after the object at byte 3"},
		"a second object behind":               {text: `{}{}`, wantErr: "text after the object at byte 3"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse([]byte(tc.text), tc.known...)
			if diff := cmp.Diff(tc.wantErr, message(err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequireNamesTheFirstMissingKey(t *testing.T) {
	t.Parallel()
	object := Object{"a": json.RawMessage(`1`)}
	if got, want := message(object.Require("a", "b", "c")), `key "b" is missing`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := object.Require("a"); err != nil {
		t.Errorf("key is there: %v", err)
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	object, err := Parse([]byte(`{"s":"x","b":true,"n":-7,"l":["p","q"],"null":null,"f":1.5,"long":[` +
		`"0123456789012345678901234567890123456789012345678901234567890123456789"]}`))
	if err != nil {
		t.Fatal(err)
	}
	check(t, object, "s", "x", "")
	check(t, object, "absent", "", "")
	check(t, object, "b", true, "")
	check(t, object, "n", -7, "")
	check(t, object, "l", []string{"p", "q"}, "")
	check(t, object, "null", "", `key "null": want a string, found null`)
	check(t, object, "null", []string(nil), `key "null": want a list of strings, found null`)
	check(t, object, "n", "", `key "n": want a string, found -7`)
	check(t, object, "f", 0, `key "f": want a whole number, found 1.5`)
	check(t, object, "s", false, `key "s": want true or false, found "x"`)
	check(t, object, "s", []json.RawMessage(nil), `key "s": want a list, found "x"`)
	check(t, object, "long", "", `key "long": want a string, found ["01234567890123456789012345678901234567890123456789012345678901…`)
}

func check[T any](t *testing.T, object Object, key string, want T, wantErr string) {
	t.Helper()
	got, err := Value[T](object, key)
	if diff := cmp.Diff(wantErr, message(err)); diff != "" {
		t.Errorf("error for %q (-want +got):\n%s", key, diff)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("value of %q (-want +got):\n%s", key, diff)
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// FuzzParse holds Parse to encoding/json: what it takes, json takes too, with
// the same keys.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1}`, `{"a":{"b":[null]},"a":2}`, `[`, `{"a":"\ud800"}`, `{"":0} `} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		object, err := Parse(text)
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("taken, but json says %v", err)
		}
		if diff := cmp.Diff(want, map[string]json.RawMessage(object)); diff != "" {
			t.Errorf("not what json reads (-json +strictjson):\n%s", diff)
		}
	})
}
