package datapath

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"spidernet.io/spiderpool/e2e/cluster/component"
)

// maxSize of the plugin in bytes. Every ADD maps the binary anew.
const maxSize = 12_000_000

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

// TestPluginLinksNoKubernetes names the package at fault, where the benchmark would only show a
// number.
func TestPluginLinksNoKubernetes(t *testing.T) {
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
	// netns and x/sys are what the library's skel needs.
	allowed := []string{
		"spidernet.io/spiderpool/cni", "github.com/containernetworking/cni/pkg/",
		"github.com/vishvananda/netns", "golang.org/x/sys/unix",
	}
	for _, name := range linked {
		first, _, _ := strings.Cut(name, "/") // without a dot in Go's own
		known := slices.ContainsFunc(allowed, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
		if !known && strings.Contains(first, ".") {
			t.Errorf("the plugin links %s; see the comment of package cni", name)
		}
	}
}
