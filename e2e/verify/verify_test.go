package verify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCompareNamesWhatDiffersAndWhatAppeared(t *testing.T) {
	t.Parallel()
	root, dir := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(root, "same"):    "1",
		filepath.Join(dir, "same"):     "1",
		filepath.Join(root, "stale"):   "1",
		filepath.Join(dir, "stale"):    "2",
		filepath.Join(dir, "appeared"): "1",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := compare(root, dir, []string{"same", "stale"})
	if err == nil || !strings.Contains(err.Error(), "stale is not what") || !strings.Contains(err.Error(), "appeared is generated") || strings.Contains(err.Error(), "same") {
		t.Errorf("got %v", err)
	}
	if err := compare(root, root, []string{"same", "stale"}); err != nil {
		t.Errorf("a tree differs from itself: %v", err)
	}
}
