package mutations_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"spidernet.io/spiderpool/e2e/mutations"
)

// parent is the module that is mutated.
const parent = "../.."

// Each safeguard is noticed when it is taken out, by the test that the list names.
func TestEveryMutationIsNoticed(t *testing.T) {
	t.Parallel()
	for _, m := range mutations.All() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			out, err := run(t, m)
			var exit *exec.ExitError
			switch failed := "--- FAIL: " + m.Test; {
			case err == nil:
				t.Errorf("%s of %s does not notice it", m.Test, m.Package)
			case !errors.As(err, &exit):
				t.Error(err)
			case !strings.Contains(out, failed) || !strings.Contains(out, m.Says):
				t.Errorf("it is noticed otherwise than by %q and %q:\n%s", failed, m.Says, out)
			default:
				t.Logf("noticed by %s of %s: %s", m.Test, m.Package, first(out, m.Says))
			}
		})
	}
}

// run runs the test that is to notice a mutation.
func run(t *testing.T, m mutations.Mutation) (string, error) {
	t.Helper()
	root, err := filepath.Abs(parent)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	texts, replaced := map[string]string{}, map[string]string{} // file -> its text; and the copy's name
	for _, e := range m.Edits {
		file := filepath.Join(root, e.File)
		if _, ok := texts[file]; !ok {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[file] = string(text)
		}
		if n := strings.Count(texts[file], e.Old); n != 1 {
			t.Fatalf("%s has %d times what is to be replaced, want once: the mutation is out of date\n%s", e.File, n, e.Old)
		}
		texts[file] = strings.Replace(texts[file], e.Old, e.New, 1)
	}
	for file, text := range texts {
		copied := filepath.Join(dir, filepath.Base(file))
		replaced[file] = copied
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "go", append([]string{"test", "-count=1", "-overlay", list, "-run", "^" + m.Test + "$", m.Package}, m.Flags...)...)
	command.Dir = root
	out, err := command.CombinedOutput()
	return string(out), err
}

// first returns the first line of a text that has a part.
func first(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
