package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"spidernet.io/spiderpool/cni"
	"spidernet.io/spiderpool/cni/kubeconfig"
)

// Names of the files in the folder of the kubeconfig.
const (
	KubeconfigName = "kubeconfig"
	TokenName      = "token"
)

const (
	modeBinary = fs.FileMode(0o755)
	modeSecret = fs.FileMode(0o600)
	modeFolder = fs.FileMode(0o700)
)

// Config says what to put where. Folders on the host are named as this process
// sees them.
type Config struct {
	// SourceDir holds the two binaries to install.
	SourceDir string
	// BinDir is the runtime's folder of CNI plugins. It must exist: a folder
	// made here would be one that no runtime reads.
	BinDir string
	// KubeconfigDir takes kubeconfig and token; it is made if need be. Empty
	// means that no kubeconfig is wanted.
	KubeconfigDir string
	// KubeconfigDirOnHost is the same folder as the plugin sees it, which runs
	// on the host.
	KubeconfigDirOnHost string
	// Server is the API server's URL as reached from the host.
	Server string
	// ServiceAccountDir holds ca.crt and token of this pod.
	ServiceAccountDir string
}

// Validate tells whether all that is needed is set.
func (c Config) Validate() error {
	for _, folder := range [...]struct{ name, path string }{
		{"source folder", c.SourceDir}, {"CNI binary folder", c.BinDir},
	} {
		if !filepath.IsAbs(folder.path) {
			return fmt.Errorf("%s: %q is not an absolute path", folder.name, folder.path)
		}
	}
	if c.KubeconfigDir == "" {
		return nil
	}
	for _, folder := range [...]struct{ name, path string }{
		{"kubeconfig folder", c.KubeconfigDir},
		{"kubeconfig folder on the host", c.KubeconfigDirOnHost},
		{"service account folder", c.ServiceAccountDir},
	} {
		if !filepath.IsAbs(folder.path) {
			return fmt.Errorf("%s: %q is not an absolute path", folder.name, folder.path)
		}
	}
	if c.Server == "" {
		return errors.New("server: empty, and this is not a pod with KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT")
	}
	return nil
}

// ServerFromEnv is the API server's URL as a pod's environment tells it, or
// empty outside a pod.
func ServerFromEnv(getenv func(string) string) string {
	host, port := getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return ""
	}
	return "https://" + net.JoinHostPort(host, port)
}

// Apply makes the host's files what they should be, and returns the paths that
// it had to write.
func Apply(c Config) (written []string, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	for _, name := range []string{cni.LookupName, cni.PluginName} {
		content, err := os.ReadFile(filepath.Join(c.SourceDir, name))
		if err != nil {
			return written, fmt.Errorf("reading binary %q: %w", name, err)
		}
		if written, err = place(written, filepath.Join(c.BinDir, name), content, modeBinary); err != nil {
			return written, err
		}
	}
	if c.KubeconfigDir == "" {
		return written, nil
	}
	return applyKubeconfig(c, written)
}

func applyKubeconfig(c Config, written []string) ([]string, error) {
	authority, err := os.ReadFile(filepath.Join(c.ServiceAccountDir, "ca.crt"))
	if err != nil {
		return written, fmt.Errorf("reading certificate authority: %w", err)
	}
	token, err := os.ReadFile(filepath.Join(c.ServiceAccountDir, "token"))
	if err != nil {
		return written, fmt.Errorf("reading token: %w", err)
	}
	if len(bytes.TrimSpace(token)) == 0 {
		return written, fmt.Errorf("reading token: %s is empty", filepath.Join(c.ServiceAccountDir, "token"))
	}
	config := kubeconfig.Config{
		Server:    c.Server,
		CAData:    authority,
		TokenFile: filepath.Join(c.KubeconfigDirOnHost, TokenName),
	}
	text, err := config.Marshal()
	if err != nil {
		return written, fmt.Errorf("making kubeconfig: %w", err)
	}
	if err := os.MkdirAll(c.KubeconfigDir, modeFolder); err != nil {
		return written, fmt.Errorf("making kubeconfig folder: %w", err)
	}
	if written, err = place(written, filepath.Join(c.KubeconfigDir, TokenName), token, modeSecret); err != nil {
		return written, err
	}
	return place(written, filepath.Join(c.KubeconfigDir, KubeconfigName), text, modeSecret)
}

func place(written []string, path string, content []byte, mode fs.FileMode) ([]string, error) {
	changed, err := replace(path, content, mode)
	if changed {
		written = append(written, path)
	}
	return written, err
}

// Stay applies c at each tick until ctx ends. An error is reported and the next
// tick tries again: what is installed goes on working meanwhile.
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
