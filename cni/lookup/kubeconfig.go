package lookup

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
)

// Config is the content of a kubeconfig in the one form that the installer writes and the plugin
// reads: one cluster over HTTPS with its certificate authority, one user with a token in a file. It
// is JSON, which is valid YAML, so kubectl can use it and no YAML parser is linked. Every other
// form is refused: credential plugins would run other programs as root in the datapath, client
// certificates and inline tokens would not be renewed, and on an unverified connection anybody
// could give any address to any pod.
type Config struct {
	// Server is the API server's URL: https, host, optional port, nothing else.
	Server string
	// CAData is the certificate authority in PEM.
	CAData []byte
	// TokenFile is the absolute path of the file with the bearer token. It is read again for each
	// request, since tokens are renewed.
	TokenFile string
}

// Marshal returns c as a kubeconfig that ParseConfig reads.
func (c Config) Marshal() ([]byte, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	const name = "spiderpool"
	text, err := json.MarshalIndent(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": name,
		"clusters": []any{map[string]any{"name": name, "cluster": map[string]any{"server": c.Server, "certificate-authority-data": c.CAData}}},
		"users":    []any{map[string]any{"name": name, "user": map[string]any{"tokenFile": c.TokenFile}}},
		"contexts": []any{map[string]any{"name": name, "context": map[string]any{"cluster": name, "user": name}}},
	}, "", "  ")
	return append(text, '\n'), err
}

// ParseConfig reads a kubeconfig that has only what Marshal writes, in any layout.
func ParseConfig(data []byte) (c Config, err error) {
	var read struct {
		Clusters [1]struct {
			Cluster struct {
				Server string
				CAData []byte `json:"certificate-authority-data"`
			}
		}
		Users [1]struct{ User struct{ TokenFile string } }
	}
	var all, want any
	if err = json.Unmarshal(data, &all); err == nil {
		err = json.Unmarshal(data, &read)
	}
	if err != nil {
		return c, fmt.Errorf("it is no JSON as spiderpool-installer writes it: %w", err)
	}
	c = Config{read.Clusters[0].Cluster.Server, read.Clusters[0].Cluster.CAData, read.Users[0].User.TokenFile}
	text, err := c.Marshal()
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err == nil && !reflect.DeepEqual(all, want) {
		err = errors.New("it says more, or less, than what spiderpool-installer writes, and nothing else can be used")
	}
	return c, err
}

func (c Config) validate() error {
	u, err := url.Parse(c.Server)
	if err != nil || u.Hostname() == "" || (&url.URL{Scheme: "https", Host: u.Host}).String() != strings.TrimSuffix(c.Server, "/") {
		return fmt.Errorf("server: %q is not https://host:port", c.Server)
	}
	if len(c.CAData) == 0 {
		return errors.New("certificate-authority-data: empty, and the API server is always verified")
	}
	if !filepath.IsAbs(c.TokenFile) {
		return fmt.Errorf("tokenFile: %q is not an absolute path", c.TokenFile)
	}
	return nil
}
