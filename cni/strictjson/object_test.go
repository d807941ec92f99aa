package strictjson

import (
	"encoding/json"
	"fmt"
	"strings"
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
		"an empty object":                      {text: " {\t\r\n} ", want: Object{}},
		"values stay undecoded":                {text: `{"a": {"b":1} , "c" :null}`, want: Object{{"a", Raw(`{"b":1}`)}, {"c", Raw(`null`)}}},
		"every kind of value":                  {text: `{"a":[true,false,null,-1.5e+3,0,"x\u00e9\n",{},[]]}`, want: Object{{"a", Raw(`[true,false,null,-1.5e+3,0,"x\u00e9\n",{},[]]`)}}},
		"a known key passes":                   {text: `{"a":1}`, known: []string{"b", "a"}, want: Object{{"a", Raw(`1`)}}},
		"an unknown key is named":              {text: `{"a":1}`, known: []string{"b"}, wantErr: `unknown key "a"`},
		"letters of another case are unknown":  {text: `{"A":1}`, known: []string{"a"}, wantErr: `unknown key "A"`},
		"a key that is there twice is named":   {text: `{"a":1,"a":2}`, wantErr: `key "a" is there twice`},
		"an escape does not hide a second key": {text: `{"a":1,"\u0061":2}`, wantErr: `key "a" is there twice`},
		"nothing at all":                       {text: ``, wantErr: "the text ends before the object does"},
		"blanks only":                          {text: `  `, wantErr: "the text ends before the object does"},
		"an object without its end":            {text: `{"a":1`, wantErr: "the text ends before the object does"},
		"a value without its end":              {text: `{"a":[1`, wantErr: `key "a": the text ends before the object does`},
		"a string without its end":             {text: `{"a":"b`, wantErr: `key "a": the text ends before the object does`},
		"an escape without its end":            {text: `{"a":"\`, wantErr: `key "a": the text ends before the object does`},
		"no value":                             {text: `{"a":}`, wantErr: `key "a": want a value, found '}' at byte 5`},
		"no colon":                             {text: `{"a" 1}`, wantErr: `want a colon, found '1' at byte 5`},
		"no comma":                             {text: `{"a":1 "b":2}`, wantErr: `want a comma or '}', found '"' at byte 7`},
		"a comma too many":                     {text: `{"a":1,}`, wantErr: `want a key, found '}' at byte 7`},
		"a comma too many in a list":           {text: `{"a":[1,]}`, wantErr: `key "a": want a value, found ']' at byte 8`},
		"a key that is no string":              {text: `{1:2}`, wantErr: `want a key, found '1' at byte 1`},
		"half a word":                          {text: `{"a":nul}`, wantErr: `key "a": want null, found '}' at byte 8`},
		"a number that begins with zero":       {text: `{"a":01}`, wantErr: `want a comma or '}', found '1' at byte 6`},
		"a number that ends in a point":        {text: `{"a":1.}`, wantErr: `key "a": want a digit, found '}' at byte 7`},
		"an exponent without digits":           {text: `{"a":1e+}`, wantErr: `key "a": want a digit, found '}' at byte 8`},
		"a sign alone":                         {text: `{"a":-}`, wantErr: `key "a": want a value, found '}' at byte 6`},
		"a line break in a string":             {text: "{\"a\":\"\n\"}", wantErr: `key "a": want a character of a string, found '\n' at byte 6`},
		"an unknown escape":                    {text: `{"a":"\x"}`, wantErr: `key "a": want an escape, found 'x' at byte 7`},
		"a short escape":                       {text: `{"a":"\u00g0"}`, wantErr: `key "a": want four hexadecimal digits, found 'g' at byte 10`},
		"a key of half a pair":                 {text: `{"\ud800":1}`, wantErr: `key "\ud800" is no Unicode text`},
		"bytes that are no text":               {text: "{\"\xff\":1}", wantErr: `not UTF-8`},
		"a list":                               {text: `[1]`, wantErr: `want an object, found '[' at byte 0`},
		"null":                                 {text: `null`, wantErr: `want an object, found 'n' at byte 0`},
		"text behind":                          {text: `{} x`, wantErr: "text after the object at byte 3"},
		"a second object behind":               {text: `{}{}`, wantErr: "text after the object at byte 2"},
		"a zero byte behind":                   {text: "{}\x00", wantErr: "text after the object at byte 2"},
		"a very deep value":                    {text: `{"a":` + strings.Repeat("[", 1<<20), wantErr: deepError},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse([]byte(tc.text), tc.known...)
			if diff := cmp.Diff(tc.wantErr, said(err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
		})
	}
}

// deepError is repeated once: the key is that of the outermost value.
const deepError = `key "a": more than 200 lists and objects in one another`

func TestRequireNamesTheFirstMissingKey(t *testing.T) {
	t.Parallel()
	object := Object{{"a", Raw(`1`)}}
	if got, want := said(object.Require("a", "b", "c")), `key "b" is missing`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := object.Require("a"); err != nil {
		t.Errorf("key is there: %v", err)
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	object, err := Parse([]byte(`{"escaped":"\"\\\/\b\f\n\r\t\u00E9\ud83d\ude00z","half":"\ud83dx","halves":"\ud83d\ud83d",` +
		`"long-number":99999999999999999999,"mixed":["a",1],"s":"x","b":true,"n":-7,"l":["p","q"],"null":null,"f":1.5,"long":[` +
		`"0123456789012345678901234567890123456789012345678901234567890123456789"]}`))
	if err != nil {
		t.Fatal(err)
	}
	check(t, object, "s", "x", "")
	check(t, object, "absent", "", "")
	check(t, object, "escaped", "\"\\/\b\f\n\r\té😀z", "")
	check(t, object, "half", "", `key "half": want a string, found "\ud83dx"`)
	check(t, object, "halves", "", `key "halves": want a string, found "\ud83d\ud83d"`)
	check(t, object, "long-number", 0, `key "long-number": want a whole number, found 99999999999999999999`)
	check(t, object, "mixed", []string(nil), `key "mixed": want a list of strings, found ["a",1]`)
	check(t, object, "mixed", []Raw{Raw(`"a"`), Raw(`1`)}, "")
	check(t, object, "b", true, "")
	check(t, object, "n", -7, "")
	check(t, object, "l", []string{"p", "q"}, "")
	check(t, object, "null", "", `key "null": want a string, found null`)
	check(t, object, "null", []string(nil), `key "null": want a list of strings, found null`)
	check(t, object, "n", "", `key "n": want a string, found -7`)
	check(t, object, "f", 0, `key "f": want a whole number, found 1.5`)
	check(t, object, "s", false, `key "s": want true or false, found "x"`)
	check(t, object, "s", []Raw(nil), `key "s": want a list, found "x"`)
	check(t, object, "long", "", `key "long": want a string, found ["01234567890123456789012345678901234567890123456789012345678901…`)
}

func check[T string | bool | int | []string | []Raw](t *testing.T, object Object, key string, want T, wantErr string) {
	t.Helper()
	got, err := Value[T](object, key)
	if diff := cmp.Diff(wantErr, said(err)); diff != "" {
		t.Errorf("error for %q (-want +got):\n%s", key, diff)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("value of %q (-want +got):\n%s", key, diff)
	}
}

func said(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// FuzzParse holds Parse to encoding/json: what it takes, json takes too, with
// the same keys and values. What only json takes is one of the few things that
// this package says it refuses.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1}`, `{"a":{"b":[null]},"a":2}`, `[`, `{"a":"\ud800"}`, `{"":0} `, `{"a":"\u00e9\ud83d\ude00\\"}`,
		`{"a":["b","c"],"d":-0.5E-7,"e":true}`, `{"A":1,"a":2}`, "{\"\xff\":1}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		object, err := Parse(text)
		var want map[string]json.RawMessage
		jsonErr := json.Unmarshal(text, &want)
		if err != nil {
			for _, refused := range []string{"not UTF-8", "twice", "no Unicode text", "in one another", "want an object, found 'n'"} {
				if strings.Contains(err.Error(), refused) {
					return
				}
			}
			if jsonErr == nil {
				t.Fatalf("refused with %v, but json takes it", err)
			}
			return
		}
		if jsonErr != nil {
			t.Fatalf("taken, but json says %v", jsonErr)
		}
		got := map[string]json.RawMessage{}
		for _, pair := range object {
			key := pair.Key
			got[key] = json.RawMessage(pair.Value)
			agree[string](t, object, key)
			agree[bool](t, object, key)
			agree[int](t, object, key)
			agree[[]string](t, object, key)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("not what json reads (-json +strictjson):\n%s", diff)
		}
	})
}

// agree fails if a value was taken that json reads otherwise.
func agree[T string | bool | int | []string](t *testing.T, object Object, key string) {
	t.Helper()
	got, err := Value[T](object, key)
	if err != nil {
		return
	}
	var want T
	if err := json.Unmarshal(rawOf(object, key), &want); err != nil {
		t.Fatalf("value %s taken, but json says %v", rawOf(object, key), err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("value %s (-json +strictjson):\n%s", rawOf(object, key), diff)
	}
}

func TestStrings(t *testing.T) {
	t.Parallel()
	got, err := Strings(Raw(`{"a":"b","c":"\n"}`))
	if diff := cmp.Diff(map[string]string{"a": "b", "c": "\n"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := Strings(Raw(`{"a":1}`)); said(err) != `key "a": want a string, found 1` {
		t.Errorf("got %v", err)
	}
	if _, err := Strings(Raw(`[]`)); said(err) != `want an object, found '[' at byte 0` {
		t.Errorf("got %v", err)
	}
}

// FuzzQuote holds Quote to the two readers of what it writes.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"", "a", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "é😀\u2028\ufffd", "\xff\xfe"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, original string) {
		quoted := Quote(original)
		var want string
		if err := json.Unmarshal([]byte(quoted), &want); err != nil {
			t.Fatalf("json says %v of %s", err, quoted)
		}
		if valid := string([]rune(original)); want != valid {
			t.Errorf("json reads %q of %q", want, valid)
		}
		if got, ok := text(Raw(quoted)); !ok || got != want {
			t.Errorf("read %q, json reads %q", got, want)
		}
	})
}

func rawOf(object Object, key string) Raw {
	raw, _ := object.Get(key)
	return raw
}

// TestParseTakesManyKeys goes over the number from which on another way is
// taken to find a key that is there twice.
func TestParseTakesManyKeys(t *testing.T) {
	t.Parallel()
	for _, twice := range []int{0, few - 2, few - 1, few, few + 1, 10*few - 1} {
		var text strings.Builder
		for i := range 10 * few {
			fmt.Fprintf(&text, `"k%d":%d,`, i, i)
		}
		object, err := Parse([]byte("{" + strings.TrimSuffix(text.String(), ",") + "}"))
		if n, _ := Value[int](object, fmt.Sprintf("k%d", twice)); err != nil || len(object) != 10*few || n != twice {
			t.Errorf("%d keys, the value of k%d is %d, %v", len(object), twice, n, err)
		}
		_, err = Parse(fmt.Appendf(nil, `{%s"k%d":0}`, text.String(), twice))
		if want := fmt.Sprintf(`key "k%d" is there twice`, twice); said(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
