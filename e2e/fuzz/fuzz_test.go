package fuzz_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"spidernet.io/spiderpool/e2e/fuzz"
)

// module returns a module with two targets, one of which finds something at once.
func module(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/m\n\ngo 1.26\n",
		"a_test.go": `package m

import "testing"

func FuzzGood(f *testing.F) { f.Fuzz(func(*testing.T, string) {}) }

func FuzzBad(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1 {
			t.Error("too long")
		}
	})
}

func TestOther(*testing.T) {}
`,
		"b/b.go": "package b\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRunReportsItsFindings(t *testing.T) {
	t.Parallel()
	dir := module(t)
	targets, err := fuzz.Targets(t.Context(), dir)
	want := []fuzz.Target{{Package: "example.com/m", Name: "FuzzGood"}, {Package: "example.com/m", Name: "FuzzBad"}}
	if err != nil || !slices.Equal(targets, want) {
		t.Fatalf("got %v, %v, want %v", targets, err, want)
	}
	var out strings.Builder
	err = fuzz.Run(t.Context(), dir, targets, 2*time.Second, &out)
	if err == nil || !strings.Contains(err.Error(), "too long") || strings.Contains(err.Error(), "FuzzGood") {
		t.Errorf("the error is %v", err)
	}
	for _, line := range []string{"fuzz: example.com/m FuzzBad: found something\n", " inputs\n"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("it says\n%s", out.String())
		}
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "testdata/fuzz/FuzzBad/*")); len(found) == 0 {
		t.Error("what was found is not kept")
	}
}
