package datapath

import (
	"os"
	"testing"
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
