package kubeconfig

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"

	"spidernet.io/spiderpool/cni/strictjson"
)

// Config is what a kubeconfig says.
type Config struct {
	// Server is the API server's URL: https, host, optional port, nothing else.
	Server string
	// CAData is the certificate authority in PEM. Either it or CAFile is set.
	CAData []byte
	// CAFile is an absolute path.
	CAFile string
	// TokenFile is the absolute path of the file with the bearer token. It is
	// read again for each request, since tokens are renewed.
	TokenFile string
}

// name of cluster, user and context in what Marshal writes.
const name = "spiderpool"

// Marshal returns c as a kubeconfig that Parse reads.
func (c Config) Marshal() ([]byte, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	cluster := map[string]any{"server": c.Server}
	if c.CAFile != "" {
		cluster["certificate-authority"] = c.CAFile
	} else {
		cluster["certificate-authority-data"] = c.CAData
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(map[string]any{
		"apiVersion":      "v1",
		"kind":            "Config",
		"clusters":        []any{map[string]any{"name": name, "cluster": cluster}},
		"users":           []any{map[string]any{"name": name, "user": map[string]any{"tokenFile": c.TokenFile}}},
		"contexts":        []any{map[string]any{"name": name, "context": map[string]any{"cluster": name, "user": name}}},
		"current-context": name,
	})
	return text.Bytes(), err
}

// Parse reads a kubeconfig of the one form.
func Parse(data []byte) (Config, error) {
	if trimmed := bytes.TrimSpace(data); len(trimmed) == 0 || trimmed[0] != '{' {
		return Config{}, errors.New("not JSON: only the kubeconfig that spiderpool-installer writes can be used, and it is JSON")
	}
	top, err := strictjson.Parse(data, "apiVersion", "kind", "clusters", "users", "contexts", "current-context")
	if err != nil {
		return Config{}, err
	}
	if err := errors.Join(expect(top, "apiVersion", "v1"), expect(top, "kind", "Config")); err != nil {
		return Config{}, err
	}
	var c Config
	clusterName, cluster, err := single(top, "clusters", "cluster",
		"server", "certificate-authority", "certificate-authority-data")
	if err != nil {
		return Config{}, err
	}
	if err := c.readCluster(cluster); err != nil {
		return Config{}, fmt.Errorf("clusters[0].cluster: %w", err)
	}
	userName, user, err := single(top, "users", "user", "tokenFile")
	if err != nil {
		return Config{}, err
	}
	if c.TokenFile, err = strictjson.Value[string](user, "tokenFile"); err != nil {
		return Config{}, fmt.Errorf("users[0].user: %w", err)
	}
	contextName, context, err := single(top, "contexts", "context", "cluster", "user")
	if err != nil {
		return Config{}, err
	}
	if err := errors.Join(expect(context, "cluster", clusterName), expect(context, "user", userName)); err != nil {
		return Config{}, fmt.Errorf("contexts[0].context: %w", err)
	}
	if err := expect(top, "current-context", contextName); err != nil {
		return Config{}, err
	}
	return c, c.validate()
}

func (c *Config) readCluster(cluster strictjson.Object) (err error) {
	if c.Server, err = strictjson.Value[string](cluster, "server"); err != nil {
		return err
	}
	if c.CAFile, err = strictjson.Value[string](cluster, "certificate-authority"); err != nil {
		return err
	}
	encoded, err := strictjson.Value[string](cluster, "certificate-authority-data")
	if err != nil {
		return err
	}
	if c.CAData, err = base64.StdEncoding.Strict().DecodeString(encoded); err != nil {
		return fmt.Errorf("certificate-authority-data: %w", err)
	}
	return nil
}

func (c Config) validate() error {
	if err := validateServer(c.Server); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if (len(c.CAData) == 0) == (c.CAFile == "") {
		return errors.New("want one of certificate-authority and certificate-authority-data: the API server is always verified")
	}
	if c.CAFile != "" && !filepath.IsAbs(c.CAFile) {
		return fmt.Errorf("certificate-authority: %q is not an absolute path", c.CAFile)
	}
	if !filepath.IsAbs(c.TokenFile) {
		return fmt.Errorf("tokenFile: %q is not an absolute path", c.TokenFile)
	}
	return nil
}

func validateServer(server string) error {
	u, err := url.Parse(server)
	if err != nil {
		return err
	}
	if u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("%q is not https://host:port", server)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("%q: no such port", server)
		}
	}
	if bare := (&url.URL{Scheme: "https", Host: u.Host}).String(); server != bare && server != bare+"/" {
		return fmt.Errorf("%q has more than host and port", server)
	}
	return nil
}

// single reads the only entry of the list key, an object of a name and of one
// object under inner with the keys known.
func single(top strictjson.Object, key, inner string, known ...string) (string, strictjson.Object, error) {
	list, err := strictjson.Value[[]strictjson.Raw](top, key)
	if err != nil {
		return "", nil, err
	}
	if len(list) != 1 {
		return "", nil, fmt.Errorf("%s: want one, found %d", key, len(list))
	}
	entry, err := strictjson.Parse(list[0], "name", inner)
	if err != nil {
		return "", nil, fmt.Errorf("%s[0]: %w", key, err)
	}
	if err := entry.Require("name", inner); err != nil {
		return "", nil, fmt.Errorf("%s[0]: %w", key, err)
	}
	entryName, err := strictjson.Value[string](entry, "name")
	if err != nil {
		return "", nil, fmt.Errorf("%s[0]: %w", key, err)
	}
	raw, _ := entry.Get(inner)
	object, err := strictjson.Parse(raw, known...)
	if err != nil {
		return "", nil, fmt.Errorf("%s[0].%s: %w", key, inner, err)
	}
	return entryName, object, nil
}

// expect returns an error unless key has the value wanted.
func expect(object strictjson.Object, key, want string) error {
	found, err := strictjson.Value[string](object, key)
	if err != nil {
		return err
	}
	if found != want {
		return fmt.Errorf("%s: want %q, found %q", key, want, found)
	}
	return nil
}
