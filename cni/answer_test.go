package cni

import "testing"

// What a lookup answers is annotations or an error, and never both.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"annotations":{"a":"b"}}`, `{"annotations":null}`, `{}`, `{"error":{"code":11,"msg":"later","details":"d"}}`,
		`{"error":{"code":0,"msg":"","details":""}}`, `{"annotations":{"a":1}}`, `{"annotations":{"a":"b","a":"c"}}`, `{"error":null} x`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		annotations, told, err := parseAnswer(answer)
		if err != nil && (annotations != nil || told != nil) || annotations != nil && told != nil {
			t.Fatalf("%q is read as %v, %v and %v", answer, annotations, told, err)
		}
		if told != nil && (told.Code == 0 || told.Msg == "") {
			t.Fatalf("%q is read as an error that says nothing: %+v", answer, told)
		}
	})
}
