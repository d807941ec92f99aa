package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Object is a JSON object whose values are not decoded yet.
type Object map[string]json.RawMessage // key -> value

// Parse splits data, which must be one JSON object and nothing else. With
// known keys given, any other key is an error.
func Parse(data []byte, known ...string) (Object, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	start, err := d.Token()
	if err != nil {
		return nil, readable(err)
	}
	if start != json.Delim('{') {
		return nil, fmt.Errorf("want an object, found %s", kindOfToken(start))
	}
	object := Object{}
	for d.More() {
		if err := object.readPair(d, known); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, readable(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("text after the object at byte %d", d.InputOffset())
	}
	return object, nil
}

func (o Object) readPair(d *json.Decoder, known []string) error {
	token, err := d.Token()
	if err != nil {
		return readable(err)
	}
	key, ok := token.(string)
	if !ok {
		return fmt.Errorf("want a key, found %s", kindOfToken(token))
	}
	if len(known) > 0 && !slices.Contains(known, key) {
		return fmt.Errorf("unknown key %q", key)
	}
	if _, twice := o[key]; twice {
		return fmt.Errorf("key %q is there twice", key)
	}
	var value json.RawMessage
	if err := d.Decode(&value); err != nil {
		return fmt.Errorf("key %q: %w", key, readable(err))
	}
	o[key] = value
	return nil
}

// Require returns an error that names the first of keys that is missing.
func (o Object) Require(keys ...string) error {
	for _, key := range keys {
		if _, ok := o[key]; !ok {
			return fmt.Errorf("key %q is missing", key)
		}
	}
	return nil
}

// Value decodes the value of key; a key that is not there is the zero value.
// T is a string, bool, integer, or a list of these or of raw messages.
func Value[T any](o Object, key string) (T, error) {
	var value T
	raw, ok := o[key]
	if !ok {
		return value, nil
	}
	if string(raw) == "null" {
		return value, fmt.Errorf("key %q: want %s, found null", key, nameOf(value))
	}
	if err := json.Unmarshal(raw, &value); err != nil {
		var zero T
		return zero, fmt.Errorf("key %q: want %s, found %s", key, nameOf(zero), short(raw))
	}
	return value, nil
}

// maxShown bounds how much of a wrong value an error repeats.
const maxShown = 64

func short(raw json.RawMessage) string {
	if len(raw) <= maxShown {
		return string(raw)
	}
	return strings.ToValidUTF8(string(raw[:maxShown]), "") + "…"
}

func nameOf(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case bool:
		return "true or false"
	case int, int64:
		return "a whole number"
	case []string:
		return "a list of strings"
	default:
		return "a list"
	}
}

func kindOfToken(t json.Token) string {
	switch t := t.(type) {
	case json.Delim:
		return fmt.Sprintf("%q", t.String())
	case nil:
		return "null"
	default:
		return fmt.Sprintf("%v", t)
	}
}

// readable says "ends too early" for what encoding/json calls EOF.
func readable(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the text ends before the object does")
	}
	return err
}
