package cni

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/containernetworking/cni/pkg/types"
)

// LookupName is the name of the binary that asks the API server; it lies in the
// folder of the plugin's own.
const LookupName = "spiderpool-lookup"

// lookupTimeout bounds the whole lookup. The request has a shorter bound of its
// own (package lookup) that names the server; this one ends a process that
// hangs.
const lookupTimeout = 10 * time.Second

// Lookup reads pods where the runtime passes no annotations.
type Lookup interface {
	// Annotations returns the annotations of the pod.
	Annotations(ctx context.Context, kubeconfig string, pod PodRef) (map[string]string, error)
	// Check tells whether kubeconfig and the files it names can be used. It
	// makes no network call.
	Check(ctx context.Context, kubeconfig string) error
}

// LookupRequest is what the plugin writes to the standard input of the lookup.
type LookupRequest struct {
	Kubeconfig string `json:"kubeconfig"`
	// Namespace, Name and UID of the pod. Without a name the kubeconfig is only
	// checked.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	UID       string `json:"uid,omitempty"`
}

// LookupAnswer is what the lookup writes to its standard output: one of the two.
type LookupAnswer struct {
	Annotations map[string]string `json:"annotations,omitempty"` // annotation key -> value
	Error       *types.Error      `json:"error,omitempty"`
}

// lookupProcess is the lookup by the binary at path.
type lookupProcess struct{ path string }

var _ Lookup = (*lookupProcess)(nil)

// siblingLookup is the lookup that was installed with this plugin: never one
// found by CNI_PATH or PATH, which another plugin might have put there.
func siblingLookup() (*lookupProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the plugin's own folder: %w", err)
	}
	return &lookupProcess{path: filepath.Join(filepath.Dir(self), LookupName)}, nil
}

func (l *lookupProcess) Annotations(ctx context.Context, kubeconfig string, pod PodRef) (map[string]string, error) {
	if pod.Name == "" {
		return nil, fail(types.ErrInvalidEnvironmentVariables,
			"the runtime passes no pod annotations, so the pod must be named",
			"CNI_ARGS: K8S_POD_NAMESPACE and K8S_POD_NAME are missing")
	}
	return l.run(ctx, LookupRequest{Kubeconfig: kubeconfig, Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID})
}

func (l *lookupProcess) Check(ctx context.Context, kubeconfig string) error {
	_, err := l.run(ctx, LookupRequest{Kubeconfig: kubeconfig})
	return err
}

func (l *lookupProcess) run(ctx context.Context, request LookupRequest) (map[string]string, error) {
	input, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encoding lookup request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, l.path)
	command.Env = []string{} // neither proxies nor CNI_* are meant for it
	command.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	switch {
	case ctx.Err() != nil:
		return nil, fail(types.ErrTryAgainLater, "", "%s did not end within %s", l.path, lookupTimeout)
	case errors.Is(err, os.ErrNotExist):
		return nil, fail(types.ErrIOFailure, "ipam.kubeconfig is set, and the installer puts the two binaries into one folder: run it again",
			"%s is not there", l.path)
	case err != nil:
		return nil, fail(types.ErrIOFailure, stderr.String(), "running %s: %v", l.path, err)
	}
	var answer LookupAnswer
	if err := json.Unmarshal(output, &answer); err != nil {
		return nil, fail(types.ErrIOFailure, "are the two binaries of one release?", "decoding the answer of %s: %v", l.path, err)
	}
	if answer.Error != nil {
		return nil, answer.Error
	}
	return answer.Annotations, nil
}
