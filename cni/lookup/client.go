package lookup

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"spidernet.io/spiderpool/cni"
	"spidernet.io/spiderpool/cni/kubeconfig"
)

const (
	// timeout of connecting, request and answer together. Below the plugin's
	// own bound for this process, so that the server is named in the error.
	timeout = 4 * time.Second
	// maxPod bounds the answer. etcd holds no object above 1.5 MiB.
	maxPod = 4 << 20
	// maxFile bounds what is read of kubeconfig, authority and token.
	maxFile = 1 << 20
)

// metadataOnly asks for the pod without spec and status; a server that does not
// know how sends the whole pod, whose metadata reads the same.
const metadataOnly = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

// Client asks one API server.
type Client struct {
	server string
	token  string
	http   *http.Client
}

// Load makes a client of the kubeconfig at path and of the files it names. It
// makes no network call.
func Load(path string) (*Client, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, unusable(path, err)
	}
	config, err := kubeconfig.Parse(text)
	if err != nil {
		return nil, unusable(path, err)
	}
	authority := config.CAData
	if config.CAFile != "" {
		if authority, err = readFile(config.CAFile); err != nil {
			return nil, unusable(path, fmt.Errorf("certificate-authority: %w", err))
		}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, unusable(path, errors.New("certificate-authority: no certificate in PEM in it"))
	}
	token, err := readFile(config.TokenFile)
	if err != nil {
		return nil, unusable(path, fmt.Errorf("tokenFile: %w", err))
	}
	token = bytes.TrimSpace(token)
	if len(token) == 0 || bytes.ContainsAny(token, " \t\r\n") {
		return nil, unusable(path, fmt.Errorf("tokenFile: %s holds no token", config.TokenFile))
	}
	return &Client{server: config.Server, token: string(token), http: httpClient(roots)}, nil
}

func unusable(path string, err error) error {
	return types.NewError(types.ErrInvalidNetworkConfig, fmt.Sprintf("kubeconfig %s: %v", path, err),
		"the installer writes this file and keeps its token fresh: is it running on this node?")
}

// readFile reads a file that is not larger than maxFile.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return text, err
}

func httpClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true, // the process ends after one request
		},
		// An API server never redirects a GET of a pod; the token is not for others.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Annotations returns those of the pod.
func (c *Client) Annotations(ctx context.Context, pod cni.PodRef) (map[string]string, error) {
	address, err := url.JoinPath(c.server, "api/v1/namespaces", pod.Namespace, "pods", pod.Name)
	if err != nil {
		return nil, fmt.Errorf("building the URL of pod %s: %w", pod, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("building the request for pod %s: %w", pod, err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Accept", metadataOnly)
	request.Header.Set("User-Agent", cni.LookupName)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreachable(pod, err)
	}
	defer func() { _ = response.Body.Close() }() // the process ends soon
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPod+1))
	if err != nil {
		return nil, c.unreachable(pod, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, c.refused(pod, response.StatusCode, body)
	}
	if len(body) > maxPod {
		return nil, c.garbled(pod, fmt.Errorf("more than %d bytes", maxPod))
	}
	return c.read(pod, body)
}

func (c *Client) read(pod cni.PodRef, body []byte) (map[string]string, error) {
	var object struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Namespace   string            `json:"namespace"`
			Name        string            `json:"name"`
			UID         string            `json:"uid"`
			Annotations map[string]string `json:"annotations"` // annotation key -> value
		} `json:"metadata"`
	}
	if err := json.Unmarshal(body, &object); err != nil {
		return nil, c.garbled(pod, err)
	}
	found := object.Metadata
	if found.Namespace != pod.Namespace || found.Name != pod.Name || found.UID == "" {
		return nil, c.garbled(pod, fmt.Errorf("it is about %s %q", object.Kind, found.Namespace+"/"+found.Name))
	}
	if pod.UID != "" && found.UID != pod.UID {
		return nil, types.NewError(cni.CodeLookupRefused,
			fmt.Sprintf("pod %s has UID %s, but the sandbox is for UID %s", pod, found.UID, pod.UID),
			"the pod was deleted and made again under its name (or is a static pod, which cannot have an address): "+
				"the runtime removes the old sandbox by itself")
	}
	return found.Annotations, nil
}
