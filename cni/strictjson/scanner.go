package strictjson

import (
	"errors"

	"spidernet.io/spiderpool/cni/message"
)

// maxDepth bounds how deep lists and objects lie in one another, and with it
// the stack.
const maxDepth = 200

// errShort is what a text that ends too early gives.
var errShort = errors.New("the text ends before the object does")

// scanner walks through a text that is UTF-8. Its methods read one thing each,
// from the first byte that is not white space, and leave the scanner behind it.
type scanner struct {
	text  []byte
	at    int
	depth int
}

// next is the next byte that is not white space; it is not consumed. At the end
// of the text it is 0, which JSON has no use for.
func (s *scanner) next() byte {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// want consumes the byte c.
func (s *scanner) want(c byte, what string) error {
	if s.next() != c || s.at == len(s.text) {
		return s.unexpected(what)
	}
	s.at++
	return nil
}

func (s *scanner) unexpected(want string) error {
	if s.at >= len(s.text) {
		return errShort
	}
	return message.Errorf("want %s, found %q at byte %d", want, s.text[s.at], s.at)
}

// end makes sure that nothing follows.
func (s *scanner) end() error {
	if s.next(); s.at < len(s.text) {
		return message.Errorf("text after the object at byte %d", s.at)
	}
	return nil
}

// enter and leave count lists and objects.
func (s *scanner) enter() error {
	if s.depth++; s.depth > maxDepth {
		return message.Errorf("more than %d lists and objects in one another", maxDepth)
	}
	return nil
}

func (s *scanner) leave() { s.depth-- }

// object reads an object and calls each for every pair, in order.
func (s *scanner) object(each func(key string, value Raw) error) error {
	if err := s.want('{', "an object"); err != nil {
		return err
	}
	return s.items('}', func() error {
		if s.next() != '"' {
			return s.unexpected("a key")
		}
		raw, err := s.value()
		if err != nil {
			return err
		}
		key, ok := text(raw)
		if !ok {
			return message.Errorf("key %s is no Unicode text", short(raw))
		}
		if err := s.want(':', "a colon"); err != nil {
			return err
		}
		value, err := s.value()
		if err != nil {
			return message.Errorf("key %q: %w", key, err)
		}
		return each(key, value)
	})
}

// list reads a list and calls each for every element, in order.
func (s *scanner) list(each func(Raw) error) error {
	if err := s.want('[', "a list"); err != nil {
		return err
	}
	return s.items(']', func() error {
		value, err := s.value()
		if err != nil {
			return err
		}
		return each(value)
	})
}

// items reads what comes between commas, up to the byte that closes.
func (s *scanner) items(closing byte, item func() error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if s.next() == closing {
		s.at++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		switch s.next() {
		case ',':
			s.at++
		case closing:
			s.at++
			return nil
		default:
			return s.unexpected("a comma or " + message.Sprintf("%q", closing))
		}
	}
}

// value reads any value.
func (s *scanner) value() (Raw, error) {
	first := s.next()
	start := s.at
	var err error
	switch first {
	case '{':
		err = s.object(func(string, Raw) error { return nil })
	case '[':
		err = s.list(func(Raw) error { return nil })
	case '"':
		err = s.quoted()
	case 't':
		err = s.word("true")
	case 'f':
		err = s.word("false")
	case 'n':
		err = s.word("null")
	default:
		err = s.number()
	}
	return s.text[start:s.at], err
}

func (s *scanner) word(word string) error {
	for i := range len(word) {
		if s.at == len(s.text) || s.text[s.at] != word[i] {
			return s.unexpected(word)
		}
		s.at++
	}
	return nil
}

// quoted reads a string without decoding it; see text for what it means.
func (s *scanner) quoted() error {
	for s.at++; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return err
			}
		case c < ' ':
			return s.unexpected("a character of a string")
		}
	}
	return errShort
}

// escape reads from a backslash to the last byte of the escape, and stays on it.
func (s *scanner) escape() error {
	if s.at++; s.at == len(s.text) {
		return errShort
	}
	switch s.text[s.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			if s.at++; s.at == len(s.text) || !isHex(s.text[s.at]) {
				return s.unexpected("four hexadecimal digits")
			}
		}
		return nil
	}
	return s.unexpected("an escape")
}

// number reads -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?
func (s *scanner) number() error {
	s.skip("-")
	if !s.skip("0") && s.digits() == 0 {
		return s.unexpected("a value")
	}
	if s.skip(".") && s.digits() == 0 {
		return s.unexpected("a digit")
	}
	if s.skip("eE") {
		s.skip("+-")
		if s.digits() == 0 {
			return s.unexpected("a digit")
		}
	}
	return nil
}

// skip consumes one byte if it is one of these.
func (s *scanner) skip(these string) bool {
	for i := range len(these) {
		if s.at < len(s.text) && s.text[s.at] == these[i] {
			s.at++
			return true
		}
	}
	return false
}

// digits consumes decimal digits and counts them.
func (s *scanner) digits() int {
	start := s.at
	for s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at - start
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
