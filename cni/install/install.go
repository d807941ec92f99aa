package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"spidernet.io/spiderpool/cni"
	"spidernet.io/spiderpool/cni/lookup"
)

// Config says what to install where. Folders on the host are named as this process sees them.
type Config struct {
	SourceDir string // with the binary to install
	// BinDir is the runtime's folder of CNI plugins. It must exist: no runtime would read a folder
	// that was created here.
	BinDir string
	// KubeconfigDir takes kubeconfig and token; it is created where it is missing. Empty means no
	// kubeconfig. The plugin, which runs on the host, sees it as KubeconfigDirOnHost.
	KubeconfigDir, KubeconfigDirOnHost string
	Server                             string // URL of the API server as reached from the host
	ServiceAccountDir                  string // with ca.crt and token of this pod
}

// Validate checks that all required fields are set.
func (c Config) Validate() error {
	folders := [][2]string{{"source folder", c.SourceDir}, {"CNI binary folder", c.BinDir}}
	if c.KubeconfigDir != "" {
		folders = append(folders, [2]string{"kubeconfig folder", c.KubeconfigDir},
			[2]string{"kubeconfig folder on the host", c.KubeconfigDirOnHost}, [2]string{"service account folder", c.ServiceAccountDir})
	}
	for _, folder := range folders {
		if !filepath.IsAbs(folder[1]) {
			return fmt.Errorf("%s: %q is not an absolute path", folder[0], folder[1])
		}
	}
	if c.KubeconfigDir != "" && c.Server == "" {
		return errors.New("server: empty, and this is not a pod with KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT")
	}
	return nil
}

// ServerFromEnv returns the API server's URL from a pod's environment, or empty outside a pod.
func ServerFromEnv(getenv func(string) string) string {
	host, port := getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return ""
	}
	return "https://" + net.JoinHostPort(host, port)
}

// Apply brings the host's files up to date, and returns the paths that it had to write.
func Apply(c Config) (written []string, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	plugin, err := os.ReadFile(filepath.Join(c.SourceDir, cni.PluginName))
	if err != nil {
		return nil, fmt.Errorf("reading binary %q: %w", cni.PluginName, err)
	}
	files := []file{{filepath.Join(c.BinDir, cni.PluginName), plugin, 0o755}}
	more, unreadable := c.kubeconfig() // an error does not keep the plugin from being installed
	for _, f := range append(files, more...) {
		changed, err := f.put()
		if changed {
			written = append(written, f.path)
		}
		if err != nil {
			return written, err
		}
	}
	return written, unreadable
}

// kubeconfig creates its folder and returns the files for it: the token, then the kubeconfig that
// names it.
func (c Config) kubeconfig() ([]file, error) {
	if c.KubeconfigDir == "" {
		return nil, nil
	}
	authority, err := os.ReadFile(filepath.Join(c.ServiceAccountDir, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("reading certificate authority: %w", err)
	}
	token, err := os.ReadFile(filepath.Join(c.ServiceAccountDir, "token"))
	if err == nil && len(bytes.TrimSpace(token)) == 0 {
		err = errors.New("the token is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("reading token in %s: %w", c.ServiceAccountDir, err)
	}
	text, err := lookup.Config{Server: c.Server, CAData: authority, TokenFile: filepath.Join(c.KubeconfigDirOnHost, "token")}.Marshal()
	if err != nil {
		return nil, fmt.Errorf("making kubeconfig: %w", err)
	}
	if err := os.MkdirAll(c.KubeconfigDir, 0o700); err != nil {
		return nil, fmt.Errorf("making kubeconfig folder: %w", err)
	}
	return []file{{filepath.Join(c.KubeconfigDir, "token"), token, 0o600}, {filepath.Join(c.KubeconfigDir, "kubeconfig"), text, 0o600}}, nil
}

// Stay applies c at each tick until ctx ends. It reports an error and tries again at the next tick:
// what is installed goes on working meanwhile.
func Stay(ctx context.Context, c Config, ticks <-chan time.Time, report func(written []string, err error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			report(Apply(c))
		}
	}
}
