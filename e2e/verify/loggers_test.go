package verify

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommandsThatUseControllerRuntimeSetItsLogger: without a logger, it prints a stack to the user
// after half a minute, when it first wants to log.
func TestCommandsThatUseControllerRuntimeSetItsLogger(t *testing.T) {
	t.Parallel()
	const client = "sigs.k8s.io/controller-runtime/pkg/client"
	brief := map[string]bool{"metrics": true} // makes no client: it only needs the code of the metrics
	list := exec.CommandContext(t.Context(), "go", "list", "-f", `{{if eq .Name "main"}}{{.Dir}} {{join .Deps ","}}{{end}}`, "./...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	users := 0
	for line := range strings.Lines(string(out)) {
		dir, deps, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.Contains(","+deps+",", ","+client+",") || brief[filepath.Base(dir)] {
			continue
		}
		users++
		text, err := os.ReadFile(filepath.Join(dir, "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), ".SetLogger(") {
			t.Errorf("%s uses %s and does not set the logger", dir, client)
		}
	}
	if users < 3 {
		t.Errorf("found %d commands that use %s, want demo, soak and kruise-standin at least", users, client)
	}
}
