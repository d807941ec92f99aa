package selection

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseFamiliesRefuses(t *testing.T) {
	t.Parallel()
	many := `"` + strings.Join(numbered(maxNames+1), `","`) + `"`
	tests := map[string]struct{ in, want string }{
		"nothing":                    {"", `empty; want {"ipv4":["pool"],"ipv6":["pool"]}`},
		"blanks":                     {" \n", `empty; want {"ipv4":["pool"],"ipv6":["pool"]}`},
		"a list":                     {`["a"]`, `want an object such as {"ipv4":["pool"]}, found a list`},
		"a string":                   {`"a"`, `want an object such as {"ipv4":["pool"]}, found the string "a"`},
		"null":                       {`null`, `want an object such as {"ipv4":["pool"]}, found null`},
		"not JSON":                   {`ipv4: [a]`, `not JSON: invalid character 'i' looking for beginning of value; want {"ipv4":["pool"],"ipv6":["pool"]}`},
		"an empty object":            {`{}`, `names no pool: want "ipv4", "ipv6" or both`},
		"an unknown key":             {`{"ipv4":["a"],"ipv5":["a"]}`, `unknown key "ipv5": want "ipv4" or "ipv6"`},
		"a key in another case":      {`{"IPv4":["a"]}`, `unknown key "IPv4": want "ipv4" or "ipv6"`},
		"a key given twice":          {`{"ipv4":["a"],"ipv4":["b"]}`, `key "ipv4" is there twice`},
		"a key that is not a string": {`{4:["a"]}`, "not JSON: invalid character '4'"},
		"a name instead of a list":   {`{"ipv4":"a"}`, `ipv4: want a list of pool names such as ["pool"], found the string "a"`},
		"null instead of a list":     {`{"ipv6":null}`, `ipv6: want a list of pool names such as ["pool"], found null`},
		"an empty list":              {`{"ipv4":["a"],"ipv6":[]}`, `ipv6: an empty list: name a pool or leave it out`},
		"an empty name":              {`{"ipv4":["a",""]}`, `ipv4[1]: an empty pool name`},
		"a number":                   {`{"ipv4":[4]}`, `ipv4[0]: want a pool name in quotes, found 4`},
		"a list in the list":         {`{"ipv4":["a",["b"]]}`, `ipv4[1]: want a pool name in quotes, found a list`},
		"an object in the list":      {`{"ipv4":[{"b":1}]}`, `ipv4[0]: want a pool name in quotes, found an object`},
		"true in the list":           {`{"ipv4":[true]}`, `ipv4[0]: want a pool name in quotes, found true`},
		"a name given twice":         {`{"ipv4":["a","b","a"]}`, `ipv4[2]: pool "a" is named twice`},
		"a malformed name":           {`{"ipv6":["Up"]}`, `ipv6[0]: "Up" is not a pool name: `},
		"a name with a blank":        {`{"ipv6":[" a"]}`, `ipv6[0]: " a" is not a pool name: `},
		"too many names":             {`{"ipv4":[` + many + `]}`, `ipv4[64]: more than 64 pools`},
		"text after it":              {`{"ipv4":["a"]} x`, "text after the value, before byte 15"},
		"another object after it":    {`{"ipv4":["a"]}{}`, "text after the value, before byte 15"},
		"cut off in the object":      {`{"ipv4":["a"]`, "the text ends too early"},
		"cut off in the list":        {`{"ipv4":["a"`, `ipv4: the text ends too early; want {"ipv4":["pool"],"ipv6":["pool"]}`},
		"cut off in a name":          {`{"ipv4":["a`, "ipv4[0]: the text ends too early"},
		"cut off after a key":        {`{"ipv4"`, "ipv4: the text ends too early"},
		"a list closed by the brace": {`{"ipv4":["a"}`, "ipv4: not JSON: invalid character '}' after array element"},
		"too long":                   {`{"ipv4":["a"` + strings.Repeat(" ", maxAnnotation), "40972 bytes: at most 40960 are read"},
		"a very long name":           {`{"ipv4":["` + strings.Repeat("A", 999) + `"]}`, `ipv4[0]: "` + strings.Repeat("A", 80) + `..." is not a pool name: `},
		"a very long number":         {`{"ipv4":[` + strings.Repeat("1", 99) + `]}`, "ipv4[0]: want a pool name in quotes, found 1.11111"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			families, err := parseFamilies(test.in)
			if err == nil {
				t.Fatalf("accepted as %v", families)
			}
			if !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error %q\nwant  %q", err, test.want)
			}
		})
	}
}

func TestParseNamesRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"an object":     {`{"ipv4":["a"]}`, `want a list of pool names such as ["pool"], found an object`},
		"an empty list": {`[]`, `an empty list: name a pool or leave it out`},
		"a bad name":    {`["a",1]`, `[1]: want a pool name in quotes, found 1`},
		"text after it": {`["a"]]`, "text after the value, before byte"},
		"cut off":       {`["a"`, `the text ends too early; want ["pool"]`},
		"nothing":       {``, `empty; want ["pool"]`},
		"a bare name":   {`blue`, `not JSON: invalid character 'b' looking for beginning of value; want ["pool"]`},
		"too long":      {strings.Repeat(" ", maxAnnotation+1), "40961 bytes: at most 40960 are read"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			names, err := parseNames(test.in)
			if err == nil {
				t.Fatalf("accepted as %v", names)
			}
			if !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error %q\nwant  %q", err, test.want)
			}
		})
	}
}

func TestTheLargestAnnotationIsRead(t *testing.T) {
	t.Parallel()
	names := numbered(maxNames)
	text, err := json.Marshal(map[string][]string{"ipv4": names, "ipv6": names})
	if err != nil {
		t.Fatal(err)
	}
	families, err := parseFamilies(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if !slices.Equal(plain(family), names) {
			t.Errorf("got %v", family)
		}
	}
}

func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%03d", strings.Repeat("x", 249), i) // as long as names may be
	}
	return names
}

func plain(names []poolRef) []string {
	var out []string
	for _, n := range names {
		out = append(out, n.pool)
	}
	return out
}

// FuzzParseFamilies: what is accepted parses to the same after it was written again, and
// encoding/json reads the same from it.
func FuzzParseFamilies(f *testing.F) {
	for _, seed := range []string{`{"ipv4":["a","b"],"ipv6":["c"]}`, `{"ipv4":["a"]} x`, `{"ipv4":["a"],"ipv4":["b"]}`, "{\"ipv6\":\n[\"a.b-c\"]}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		families, err := parseFamilies(in)
		if err != nil {
			if err.Error() == "" || len(err.Error()) > 4096 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
			return
		}
		got := map[string][]string{}
		for i, key := range []string{"ipv4", "ipv6"} {
			if names := plain(families[i]); names != nil {
				got[key] = names
			}
		}
		var loose map[string][]string
		if err := json.Unmarshal([]byte(in), &loose); err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		if len(loose) != len(got) || !slices.Equal(loose["ipv4"], got["ipv4"]) || !slices.Equal(loose["ipv6"], got["ipv6"]) {
			t.Fatalf("read %v, encoding/json reads %v", got, loose)
		}
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseFamilies(string(text))
		if err != nil {
			t.Fatal(err)
		}
		for i := range families {
			if !slices.Equal(plain(again[i]), plain(families[i])) {
				t.Errorf("%s: read %v, then %v", text, families[i], again[i])
			}
		}
	})
}

// FuzzParseNames: the same for the annotations of a namespace.
func FuzzParseNames(f *testing.F) {
	f.Add(`["a","b"]`)
	f.Add(`["a"]]`)
	f.Fuzz(func(t *testing.T, in string) {
		names, err := parseNames(in)
		if err != nil {
			return
		}
		var loose []string
		if err := json.Unmarshal([]byte(in), &loose); err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		if !slices.Equal(loose, plain(names)) {
			t.Fatalf("read %v, encoding/json reads %v", names, loose)
		}
	})
}
