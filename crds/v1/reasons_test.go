package v1

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// reasonsOf returns the constants of this package that are called Reason….
func reasonsOf(t *testing.T) map[string]string { // constant -> value, with backquotes around it
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != len(spec.Names) {
				return true
			}
			for i, id := range spec.Names {
				if value, ok := spec.Values[i].(*ast.BasicLit); ok && strings.HasPrefix(id.Name, "Reason") {
					reasons[id.Name] = strings.ReplaceAll(value.Value, `"`, "`")
				}
			}
			return false
		})
	}
	return reasons
}

// Whoever meets a reason looks it up in the README.
func TestTheReadmeExplainsEveryReason(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "## When something is wrong")
	section, _, _ = strings.Cut(section, "\n## ")
	var explained strings.Builder
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			explained.WriteString(cells[1])
		}
	}
	reasons := reasonsOf(t)
	if len(reasons) < 20 {
		t.Fatalf("only %d reasons were found: %v", len(reasons), reasons)
	}
	for name, text := range reasons {
		if !strings.Contains(explained.String(), text) {
			t.Errorf("%s: the table of README.md does not explain %s", name, text)
		}
	}
}
