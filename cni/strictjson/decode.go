package strictjson

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// escapes are the letters behind a backslash that stand for one byte.
var escapes = [...]struct{ letter, meaning byte }{
	{'"', '"'}, {'\\', '\\'}, {'/', '/'}, {'b', '\b'}, {'f', '\f'}, {'n', '\n'}, {'r', '\r'}, {'t', '\t'},
}

// text decodes a string. It fails for other values, and for half of a
// surrogate pair, which stands for no character.
func text(raw Raw) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw), true
	}
	decoded := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		backslash := bytes.IndexByte(raw, '\\')
		if backslash < 0 {
			break
		}
		decoded = append(decoded, raw[:backslash]...)
		raw = raw[backslash+1:]
		if raw[0] != 'u' {
			decoded = append(decoded, meaning(raw[0]))
			raw = raw[1:]
			continue
		}
		character, rest, ok := codePoint(raw)
		if !ok {
			return "", false
		}
		decoded = utf8.AppendRune(decoded, character)
		raw = rest
	}
	return string(append(decoded, raw...)), true
}

func meaning(letter byte) byte {
	for _, e := range escapes {
		if e.letter == letter {
			return e.meaning
		}
	}
	return letter // not reached: the scanner has seen the letter
}

// codePoint decodes uXXXX, or the two of a surrogate pair, at the start of raw,
// and returns what is behind.
func codePoint(raw Raw) (rune, Raw, bool) {
	first := unit(raw[1:5])
	raw = raw[5:]
	if !utf16.IsSurrogate(first) {
		return first, raw, true
	}
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, nil, false
	}
	character := utf16.DecodeRune(first, unit(raw[2:6]))
	return character, raw[6:], character != utf8.RuneError
}

// unit is the value of four hexadecimal digits.
func unit(digits Raw) rune {
	n, _ := strconv.ParseUint(string(digits), 16, 16) // the scanner has seen the digits
	return rune(n)
}

func whole(raw Raw) (int, bool) {
	n, err := strconv.Atoi(string(raw))
	return n, err == nil
}

func list(raw Raw) ([]Raw, bool) {
	values := []Raw{}
	err := (&scanner{text: raw}).list(func(value Raw) error {
		values = append(values, value)
		return nil
	})
	return values, err == nil
}

func texts(raw Raw) ([]string, bool) {
	values, ok := list(raw)
	if !ok {
		return nil, false
	}
	decoded := make([]string, len(values))
	for i, value := range values {
		if decoded[i], ok = text(value); !ok {
			return nil, false
		}
	}
	return decoded, true
}

// Quote is the opposite of text: a JSON string. What is no UTF-8 in it becomes
// the replacement character.
func Quote(text string) string {
	const hex = "0123456789abcdef"
	quoted := append(make([]byte, 0, len(text)+2), '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			quoted = append(quoted, '\\', byte(c))
		case c < ' ':
			quoted = append(quoted, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		default:
			quoted = utf8.AppendRune(quoted, c)
		}
	}
	return string(append(quoted, '"'))
}
