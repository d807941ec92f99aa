package strictjson

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"spidernet.io/spiderpool/cni/message"
)

// Raw is the text of a value, known to be JSON.
type Raw []byte

// Object is a JSON object whose values are not decoded yet: its pairs, in order.
type Object []Pair

// Pair is a key and its value.
type Pair struct {
	Key   string
	Value Raw
}

// few is the number of pairs up to which looking at each is the quickest way to
// find one.
const few = 32

// Parse splits data, which must be one JSON object and nothing else. With
// known keys given, any other key is an error.
func Parse(data []byte, known ...string) (Object, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	s := &scanner{text: data}
	object := make(Object, 0, few/2)
	seen := map[string]bool{} // keys, once there are more than a few
	err := s.object(func(key string, value Raw) error {
		if len(known) > 0 && !slices.Contains(known, key) {
			return message.Errorf("unknown key %q", key)
		}
		if object.hasKey(key, seen) {
			return message.Errorf("key %q is there twice", key)
		}
		object = append(object, Pair{key, value})
		return nil
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, err
	}
	return object, nil
}

// hasKey keeps the time to read an object of many keys proportional to its
// length.
func (o Object) hasKey(key string, seen map[string]bool) bool {
	if len(o) < few {
		_, twice := o.Get(key)
		return twice
	}
	if len(seen) == 0 {
		for _, pair := range o {
			seen[pair.Key] = true
		}
	}
	twice := seen[key]
	seen[key] = true
	return twice
}

// Get returns the value of key and whether there is one.
func (o Object) Get(key string) (Raw, bool) {
	for i := range o {
		if o[i].Key == key {
			return o[i].Value, true
		}
	}
	return nil, false
}

// Require returns an error that names the first of keys that is missing.
func (o Object) Require(keys ...string) error {
	for _, key := range keys {
		if _, ok := o.Get(key); !ok {
			return message.Errorf("key %q is missing", key)
		}
	}
	return nil
}

// Value decodes the value of key; a key that is not there is the zero value.
func Value[T string | bool | int | []string | []Raw](o Object, key string) (T, error) {
	raw, ok := o.Get(key)
	if !ok {
		var zero T
		return zero, nil
	}
	return value[T](key, raw)
}

func value[T string | bool | int | []string | []Raw](key string, raw Raw) (T, error) {
	var decoded T
	if want, ok := decode(raw, &decoded); !ok {
		var zero T
		return zero, message.Errorf("key %q: want %s, found %s", key, want, short(raw))
	}
	return decoded, nil
}

// Strings decodes an object all of whose values are strings.
func Strings(raw Raw) (map[string]string, error) {
	object, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string, len(object))
	for _, pair := range object {
		if values[pair.Key], err = value[string](pair.Key, pair.Value); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// decode reads raw into the variable that into points to, or says what that
// would take.
func decode(raw Raw, into any) (want string, ok bool) {
	switch into := into.(type) {
	case *string:
		*into, ok = text(raw)
		return "a string", ok
	case *bool:
		*into = string(raw) == "true"
		return "true or false", *into || string(raw) == "false"
	case *int:
		*into, ok = whole(raw)
		return "a whole number", ok
	case *[]string:
		*into, ok = texts(raw)
		return "a list of strings", ok
	case *[]Raw:
		*into, ok = list(raw)
		return "a list", ok
	}
	return "", false
}

// maxShown bounds how much of a wrong value an error repeats.
const maxShown = 64

func short(raw Raw) string {
	if len(raw) <= maxShown {
		return string(raw)
	}
	return strings.ToValidUTF8(string(raw[:maxShown]), "") + "…"
}
