package lookup

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"spidernet.io/spiderpool/cni"
)

// unreachable is the error for a request that got no answer.
func (c *Client) unreachable(pod cni.PodRef, err error) error {
	details := "is the API server reachable from this node, outside all pods?"
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	if errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) {
		details = "the kubeconfig's certificate authority or server does not fit this API server: " +
			"the installer writes both, is it running on this node?"
	}
	return types.NewError(types.ErrTryAgainLater, fmt.Sprintf("looking up pod %s at %s: %v", pod, c.server, err), details)
}

// garbled is the error for an answer that is not the pod.
func (c *Client) garbled(pod cni.PodRef, err error) error {
	return types.NewError(types.ErrDecodingFailure, fmt.Sprintf("looking up pod %s at %s: reading the answer: %v", pod, c.server, err),
		"is there something else than a Kubernetes API server at this address?")
}

// refused is the error for an answer with another status than 200.
func (c *Client) refused(pod cni.PodRef, status int, body []byte) error {
	code := cni.CodeLookupRefused
	var details string
	switch {
	case status == http.StatusNotFound:
		details = "the pod is gone, and the runtime removes its sandbox by itself"
	case status == http.StatusUnauthorized:
		// A token renewed late is accepted again at the next call.
		code, details = types.ErrTryAgainLater, "the token is not valid any more: the installer renews it, is it running on this node?"
	case status == http.StatusForbidden:
		details = "the installer's service account needs the right to get pods"
	case status == http.StatusTooManyRequests || status >= http.StatusInternalServerError:
		code, details = types.ErrTryAgainLater, "the API server is overloaded or starting"
	default:
		details = "is there something else than a Kubernetes API server at this address?"
	}
	return types.NewError(code, fmt.Sprintf("looking up pod %s at %s: %d %s%s",
		pod, c.server, status, http.StatusText(status), reason(body)), details)
}

// maxReason bounds what is repeated of a server's message.
const maxReason = 300

// reason is the message of the Status object that API servers send with errors,
// or nothing.
func reason(body []byte) string {
	var object struct {
		Kind    string `json:"kind"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &object) != nil || object.Kind != "Status" || object.Message == "" {
		return ""
	}
	if len(object.Message) > maxReason {
		object.Message = strings.ToValidUTF8(object.Message[:maxReason], "") + "…"
	}
	return ": " + object.Message
}
