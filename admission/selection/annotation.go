package selection

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// maxAnnotation limits the work that an annotation can cause. The longest lists of the longest
	// names fit.
	maxAnnotation = 40 << 10
	maxNames      = 64
)

// The forms of annotations, for messages. Either key of the first may be left out.
const (
	familiesForm = `{"ipv4":["pool"],"ipv6":["pool"]}`
	namesForm    = `["pool"]`
)

// parseFamilies reads {"ipv4":["a","b"],"ipv6":["c"]}. encoding/json alone would accept unknown
// keys and keys in another case, and take the last of two equal ones.
func parseFamilies(value string) ([2][]poolRef, error) {
	families, err := readFamilies(value)
	return families, withForm(err, familiesForm)
}

func readFamilies(value string) ([2][]poolRef, error) {
	var families [2][]poolRef
	d, err := open(value)
	if err != nil {
		return families, err
	}
	if err := expect(d, '{', `an object such as {"ipv4":["pool"]}`); err != nil {
		return families, err
	}
	for d.More() {
		if err := readFamily(d, &families); err != nil {
			return families, err
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return families, readable(err)
	}
	if err := finish(d); err != nil {
		return families, err
	}
	if families[IPv4] == nil && families[IPv6] == nil {
		return families, errors.New(`names no pool: want "ipv4", "ipv6" or both`)
	}
	return families, nil
}

func readFamily(d *json.Decoder, families *[2][]poolRef) error {
	token, err := d.Token()
	if err != nil {
		return readable(err)
	}
	key, _ := token.(string) // the decoder returns nothing else at this place of an object
	i := slices.Index([]string{"ipv4", "ipv6"}, key)
	switch {
	case i < 0:
		return fmt.Errorf(`unknown key %q: want "ipv4" or "ipv6"`, short(key))
	case families[i] != nil:
		return fmt.Errorf("key %q is there twice", key)
	}
	families[i], err = readNames(d, key)
	return err
}

// parseNames reads ["a","b"].
func parseNames(value string) ([]poolRef, error) {
	d, err := open(value)
	if err != nil {
		return nil, withForm(err, namesForm)
	}
	names, err := readNames(d, "")
	if err != nil {
		return nil, withForm(err, namesForm)
	}
	return names, finish(d)
}

// readNames reads a list of pool names; at is its position, for errors.
func readNames(d *json.Decoder, at string) ([]poolRef, error) {
	prefix := at
	if prefix != "" {
		prefix += ": "
	}
	if err := expect(d, '[', `a list of pool names such as ["pool"]`); err != nil {
		return nil, fmt.Errorf("%s%w", prefix, err)
	}
	var names []poolRef
	for d.More() {
		position := fmt.Sprintf("%s[%d]", at, len(names))
		name, err := readName(d)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", position, err)
		case len(names) == maxNames:
			return nil, fmt.Errorf("%s: more than %d pools", position, maxNames)
		}
		if i := slices.IndexFunc(names, func(n poolRef) bool { return n.pool == name }); i >= 0 {
			return nil, fmt.Errorf("%s: pool %q is named twice", position, name)
		}
		names = append(names, poolRef{pool: name, at: position})
	}
	if _, err := d.Token(); err != nil { // the closing bracket
		return nil, fmt.Errorf("%s%w", prefix, readable(err))
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%san empty list: name a pool or leave it out", prefix)
	}
	return names, nil
}

func readName(d *json.Decoder) (string, error) {
	token, err := d.Token()
	if err != nil {
		return "", readable(err)
	}
	name, ok := token.(string)
	if !ok {
		return "", fmt.Errorf("want a pool name in quotes, found %s", kindOf(token))
	}
	if name == "" {
		return "", errors.New("an empty pool name")
	}
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return "", fmt.Errorf("%q is not a pool name: %s", short(name), strings.Join(problems, "; "))
	}
	return name, nil
}

func open(value string) (*json.Decoder, error) {
	switch {
	case len(value) > maxAnnotation:
		return nil, fmt.Errorf("%d bytes: at most %d are read", len(value), maxAnnotation)
	case strings.TrimSpace(value) == "":
		return nil, syntaxError("empty")
	}
	return json.NewDecoder(bytes.NewReader([]byte(value))), nil
}

func expect(d *json.Decoder, want json.Delim, wanted string) error {
	token, err := d.Token()
	switch {
	case err != nil:
		return readable(err)
	case token != want:
		return fmt.Errorf("want %s, found %s", wanted, kindOf(token))
	}
	return nil
}

// finish returns an error where something follows the value.
func finish(d *json.Decoder) error {
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("text after the value, before byte %d", d.InputOffset())
	}
	return nil
}

func kindOf(token json.Token) string {
	switch token := token.(type) {
	case json.Delim:
		return map[json.Delim]string{'{': "an object", '[': "a list"}[token]
	case string:
		return fmt.Sprintf("the string %q", short(token))
	case nil:
		return "null"
	default:
		return short(fmt.Sprint(token))
	}
}

// short keeps a message readable, whatever it quotes.
func short(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}

// syntaxError says why a text is not JSON, but not which form is expected.
type syntaxError string

func (e syntaxError) Error() string { return string(e) }

// readable says "ends too early" for what encoding/json calls EOF.
func readable(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return syntaxError("the text ends too early")
	}
	return syntaxError("not JSON: " + err.Error())
}

// withForm adds the expected form to an error that is a syntaxError; all others say themselves what
// they expect.
func withForm(err error, form string) error {
	var text syntaxError
	if !errors.As(err, &text) {
		return err
	}
	return fmt.Errorf("%w; want %s", err, form)
}
