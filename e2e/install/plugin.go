package install

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"spidernet.io/spiderpool/e2e/cluster/component"
)

// programs of the plugin, as they lie next to one another in its image.
var programs = []string{"cni/cmd/spiderpool", "cni/cmd/spiderpool-installer"}

// PluginOptions say where on one node the plugin goes.
type PluginOptions struct {
	Source   string   // folder with the plugin's programs; see BuildPlugin
	BinDir   string   // the node's folder of CNI plugins, as seen here
	ConfDir  string   // the folder for kubeconfig and token, as seen here
	OnNode   string   // the same folder as the node sees it
	Server   string   // the API server as the node reaches it
	Identity Identity // of service account spiderpool-cni
}

// BuildPlugin builds the plugin's programs into a folder.
func BuildPlugin(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range programs {
		if _, err := component.Own(ctx, p, dir); err != nil {
			return err
		}
	}
	return nil
}

// Plugin puts the plugin onto a node with the product's installer.
func Plugin(ctx context.Context, o PluginOptions) error {
	cmd := exec.CommandContext(ctx, filepath.Join(o.Source, "spiderpool-installer"), "--once",
		"--source-dir="+o.Source, "--cni-bin-dir="+o.BinDir,
		"--kubeconfig-dir="+o.ConfDir, "--kubeconfig-dir-on-host="+o.OnNode,
		"--server="+o.Server, "--service-account-dir="+o.Identity.Dir)
	cmd.Env = []string{}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("installing the plugin into %s: %w: %s", o.BinDir, err, bytes.TrimSpace(out))
	}
	return nil
}
