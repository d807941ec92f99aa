package cni

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// readObject decodes data, one JSON object and nothing else, into the variables that fields point
// to. A key that fields does not have in exactly this case, a duplicate key, and a missing required
// one are errors. encoding/json alone takes the last of two equal keys and ignores the case of
// keys, so two readers of one text could differ.
func readObject(data []byte, fields map[string]any, required ...string) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return fmt.Errorf("want an object, found %.40q", data)
	}
	var seen []string
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string) // the decoder returns nothing else here
		field, known := fields[key]
		if !known {
			return fmt.Errorf("unknown key %q", key)
		}
		if slices.Contains(seen, key) {
			return fmt.Errorf("key %q is there twice", key)
		}
		seen = append(seen, key)
		if err := d.Decode(field); err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("the end of the object: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the object")
	}
	for _, key := range required {
		if !slices.Contains(seen, key) {
			return fmt.Errorf("key %q is missing", key)
		}
	}
	return nil
}
