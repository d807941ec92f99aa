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

// Config says what to put where. Folders on the host are named as this process sees them.
type Config struct {
	SourceDir string // with the binary to install
	// BinDir is the runtime's folder of CNI plugins. It must exist: a folder made here would be one
	// that no runtime reads.
	BinDir string
	// KubeconfigDir takes kubeconfig and token; it is made if need be. Empty means that no
	// kubeconfig is wanted. The plugin, which runs on the host, sees it as KubeconfigDirOnHost.
	KubeconfigDir, KubeconfigDirOnHost string
	Server                             string // URL of the API server as reached from the host
	ServiceAccountDir                  string // with ca.crt and token of this pod
}

// Validate tells whether all that is needed is set.
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

// ServerFromEnv is the API server's URL as a pod's environment tells it, or empty outside a pod.
func ServerFromEnv(getenv func(string) string) string {
	host, port := getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return ""
	}
	return "https://" + net.JoinHostPort(host, port)
}

// Apply makes the host's files what they should be, and returns the paths that it had to write.
func Apply(c Config) (written []string, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	plugin, err := os.ReadFile(filepath.Join(c.SourceDir, cni.PluginName))
	if err != nil {
		return nil, fmt.Errorf("reading binary %q: %w", cni.PluginName, err)
	}
	files := []file{{filepath.Join(c.BinDir, cni.PluginName), plugin, 0o755}}
	more, unreadable := c.kubeconfig() // an error does not stop the plugin
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

// kubeconfig makes its folder and returns what belongs there: the token, then what names it.
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

// Stay applies c at each tick until ctx ends. An error is reported and the next tick tries again:
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
