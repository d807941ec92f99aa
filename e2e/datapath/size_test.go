package datapath

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"spidernet.io/spiderpool/e2e/cluster/component"
)

// maxSize of the plugin in bytes. Every ADD maps the binary anew.
const maxSize = 4_000_000

func TestPluginIsSmall(t *testing.T) {
	t.Parallel()
	info, err := os.Stat(ownProgram("spiderpool"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= maxSize {
		t.Errorf("the plugin has %d bytes, the bound is %d", info.Size(), maxSize)
	}
	t.Logf("%d bytes", info.Size())
}

// TestPluginLinksOnlyWhatStartsQuickly names the package at fault, where the
// benchmark would only show a number.
func TestPluginLinksOnlyWhatStartsQuickly(t *testing.T) {
	t.Parallel()
	tree, err := component.Tree()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cni/cmd/spiderpool")
	command.Dir = filepath.Clean(tree)
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(output))
	if len(linked) < 10 {
		t.Fatalf("go list printed %v", linked)
	}
	for _, name := range linked {
		slow := name == "fmt" || name == "reflect" || name == "net" || strings.HasPrefix(name, "net/") || strings.HasPrefix(name, "encoding/")
		foreign := strings.Contains(name, ".") && !strings.HasPrefix(name, "spidernet.io/spiderpool/cni") && !strings.HasPrefix(name, "vendor/")
		if slow || foreign {
			t.Errorf("the plugin links %s; see the comment of package cni", name)
		}
	}
}
