package behaviours

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"spidernet.io/spiderpool/e2e/install"
	"spidernet.io/spiderpool/e2e/kruise"
)

// auditPolicy has the API server write down each list of pods, once it is answered.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  verbs: [list]
  resources:
  - group: ""
    resources: [pods]
- level: None
`

// StartControlPlaneAudited is StartControlPlane where PodLists can be counted.
func StartControlPlaneAudited(ctx context.Context, dir string) (*Env, error) {
	policy, log := filepath.Join(dir, "audit-policy.yaml"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	e, err := startControlPlane(ctx, dir, kruise.Gates{}, install.Chart, "--audit-policy-file="+policy, "--audit-log-path="+log)
	if err != nil {
		return nil, err
	}
	e.audit = log
	return e, nil
}

// PodLists returns how many lists of the pods of all namespaces the controller has asked the API
// server for, each once however many pages it has.
func (e *Env) PodLists(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile(e.audit)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(data) {
		var event struct {
			RequestURI string `json:"requestURI"`
			User       struct {
				Username string `json:"username"`
			} `json:"user"`
			ObjectRef struct {
				Namespace string `json:"namespace"`
			} `json:"objectRef"`
		}
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatalf("reading %s: %v", e.audit, err)
		}
		uri, err := url.Parse(event.RequestURI)
		if err != nil {
			t.Fatalf("reading %s: %v", e.audit, err)
		}
		if event.User.Username == controllerUser && event.ObjectRef.Namespace == "" && !uri.Query().Has("continue") {
			n++
		}
	}
	return n
}

// controllerUser is whom the API server knows the product's controller as.
const controllerUser = "system:serviceaccount:" + install.Namespace + ":spiderpool-controller"
