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
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/types"
)

// CodeRefused is an error code of the plugin's own: the API server's answer is final (no such pod,
// another pod of that name, no right to read it).
const CodeRefused uint = 100

const (
	timeout = 4 * time.Second // for connecting, request and answer together
	maxPod  = 4 << 20         // bytes of an answer; etcd holds no object above 1.5 MiB
	// metadataOnly asks for the pod without spec and status; a server that does not support it
	// sends the whole pod, with the same metadata.
	metadataOnly  = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
	notKubernetes = "is there something else than a Kubernetes API server at this address?"
)

// Pod names the pod that a sandbox is set up for.
type Pod struct {
	Namespace, Name string
	UID             string // empty where the runtime does not pass it
}

func (p Pod) String() string {
	if p.Name == "" {
		return "(not named in CNI_ARGS)"
	}
	return p.Namespace + "/" + p.Name
}

// Client talks to one API server.
type Client struct {
	server, token string
	http          *http.Client
}

// Load makes a client from the kubeconfig at path and the files it names. It makes no network call.
func Load(path string) (client *Client, err error) {
	defer func() {
		if err != nil {
			err = types.NewError(types.ErrInvalidNetworkConfig, fmt.Sprintf("kubeconfig %s: %v", path, err),
				"the installer writes this file and keeps its token fresh: is it running on this node?")
		}
	}()
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	config, err := ParseConfig(text)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(config.CAData) {
		return nil, errors.New("certificate-authority-data: no certificate in PEM in it")
	}
	token, err := os.ReadFile(config.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("tokenFile: %w", err)
	}
	token = bytes.TrimSpace(token)
	if len(token) == 0 || bytes.ContainsAny(token, " \t\r\n") {
		return nil, fmt.Errorf("tokenFile: %s holds no token", config.TokenFile)
	}
	return &Client{config.Server, string(token), &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{ // no Proxy: the environment's settings are not meant for this client
			TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true, // the process ends after one request
		},
		// An API server never redirects a GET of a pod, and the token must not go elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Annotations returns the annotations of the pod.
func (c *Client) Annotations(ctx context.Context, pod Pod) (map[string]string, error) {
	// So that the runtime's values stay one element of the path.
	if word := regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`); !word.MatchString(pod.Namespace) || !word.MatchString(pod.Name) {
		return nil, types.NewError(types.ErrInvalidEnvironmentVariables, fmt.Sprintf(
			"CNI_ARGS: K8S_POD_NAMESPACE %q and K8S_POD_NAME %q do not name a pod", pod.Namespace, pod.Name),
			"the runtime passes no pod annotations, so the pod must be named")
	}
	address := strings.TrimSuffix(c.server, "/") + "/api/v1/namespaces/" + pod.Namespace + "/pods/" + pod.Name
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("building the request for pod %s: %w", pod, err)
	}
	request.Header = http.Header{"Authorization": {"Bearer " + c.token}, "Accept": {metadataOnly}, "User-Agent": {"spiderpool"}}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreachable(pod, err)
	}
	defer func() { _ = response.Body.Close() }() // the process exits soon
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPod+1))
	switch {
	case err != nil:
		return nil, c.unreachable(pod, err)
	case response.StatusCode != http.StatusOK:
		return nil, c.refused(pod, response.StatusCode, body)
	case len(body) > maxPod:
		return nil, c.garbled(pod, fmt.Errorf("more than %d bytes", maxPod))
	}
	return c.read(pod, body)
}

func (c *Client) read(pod Pod, body []byte) (map[string]string, error) {
	var object struct {
		Metadata struct {
			Namespace, Name, UID string
			Annotations          map[string]string // annotation key -> value
		}
	}
	if err := json.Unmarshal(body, &object); err != nil {
		return nil, c.garbled(pod, err)
	}
	found := object.Metadata
	if found.Namespace != pod.Namespace || found.Name != pod.Name || found.UID == "" {
		return nil, c.garbled(pod, fmt.Errorf("it is about %q", found.Namespace+"/"+found.Name))
	}
	if pod.UID != "" && found.UID != pod.UID {
		return nil, types.NewError(CodeRefused, fmt.Sprintf("pod %s has UID %s, but the sandbox is for UID %s", pod, found.UID, pod.UID),
			"the pod was deleted and made again under its name (or is a static pod, which cannot have an address): "+
				"the runtime removes the old sandbox by itself")
	}
	return found.Annotations, nil
}

// fail returns the error of looking up pod.
func (c *Client) fail(code uint, details string, pod Pod, what any) error {
	return types.NewError(code, fmt.Sprintf("looking up pod %s at %s: %v", pod, c.server, what), details)
}

// unreachable is the error for a request that got no answer.
func (c *Client) unreachable(pod Pod, err error) error {
	details := "is the API server reachable from this node, outside all pods?"
	if unverified := (*tls.CertificateVerificationError)(nil); errors.As(err, &unverified) {
		details = "the kubeconfig's certificate authority or server does not fit this API server: " +
			"the installer writes both, is it running on this node?"
	}
	return c.fail(types.ErrTryAgainLater, details, pod, err)
}

// garbled is the error for an answer that is not the pod.
func (c *Client) garbled(pod Pod, err error) error {
	return c.fail(types.ErrDecodingFailure, notKubernetes, pod, fmt.Errorf("reading the answer: %w", err))
}

// refused is the error for an answer with a status other than 200.
func (c *Client) refused(pod Pod, status int, body []byte) error {
	code, details := CodeRefused, notKubernetes
	switch {
	case status == http.StatusNotFound:
		details = "the pod is gone, and the runtime removes its sandbox by itself"
	case status == http.StatusUnauthorized:
		// The plugin reads the token again at the next call.
		code, details = types.ErrTryAgainLater, "the token is not valid any more: the installer renews it, is it running on this node?"
	case status == http.StatusForbidden:
		details = "the installer's service account needs the right to get pods"
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		code, details = types.ErrTryAgainLater, "the API server is overloaded or starting"
	}
	return c.fail(code, details, pod, fmt.Sprintf("%d %s%s", status, http.StatusText(status), reason(body)))
}

// reason returns the message of the Status object that API servers send with errors, or "".
func reason(body []byte) string {
	var object struct{ Kind, Message string }
	if json.Unmarshal(body, &object) != nil || object.Kind != "Status" || object.Message == "" {
		return ""
	}
	return fmt.Sprintf(": %.300s", object.Message) // it may be very long
}
