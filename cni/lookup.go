package cni

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"spidernet.io/spiderpool/cni/message"
	"spidernet.io/spiderpool/cni/strictjson"
)

// LookupName is the name of the binary that asks the API server; it lies in the
// folder of the plugin's own. Package lookup describes what the two say to one
// another.
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

// lookupProcess is the lookup by the binary at path.
type lookupProcess struct{ path string }

var _ Lookup = (*lookupProcess)(nil)

// siblingLookup is the lookup that was installed with this plugin: never one
// found by CNI_PATH or PATH, which another plugin might have put there.
func siblingLookup() (*lookupProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, message.Errorf("finding the plugin's own folder: %w", err)
	}
	return &lookupProcess{path: filepath.Join(filepath.Dir(self), LookupName)}, nil
}

func (l *lookupProcess) Annotations(ctx context.Context, kubeconfig string, pod PodRef) (map[string]string, error) {
	if pod.Name == "" {
		return nil, fail(CodeInvalidEnvironmentVariables,
			"the runtime passes no pod annotations, so the pod must be named",
			"CNI_ARGS: K8S_POD_NAMESPACE and K8S_POD_NAME are missing")
	}
	return l.run(ctx, `{"kubeconfig":`+strictjson.Quote(kubeconfig)+`,"namespace":`+strictjson.Quote(pod.Namespace)+
		`,"name":`+strictjson.Quote(pod.Name)+`,"uid":`+strictjson.Quote(pod.UID)+`}`)
}

func (l *lookupProcess) Check(ctx context.Context, kubeconfig string) error {
	_, err := l.run(ctx, `{"kubeconfig":`+strictjson.Quote(kubeconfig)+`}`)
	return err
}

func (l *lookupProcess) run(ctx context.Context, request string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, l.path)
	command.Env = []string{} // neither proxies nor CNI_* are meant for it
	command.Stdin = bytes.NewReader([]byte(request))
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	switch {
	case ctx.Err() != nil:
		return nil, fail(CodeTryAgainLater, "", "%s did not end within %s", l.path, lookupTimeout)
	case errors.Is(err, os.ErrNotExist):
		return nil, fail(CodeIOFailure, "ipam.kubeconfig is set, and the installer puts the two binaries into one folder: run it again",
			"%s is not there", l.path)
	case err != nil:
		return nil, fail(CodeIOFailure, stderr.String(), "running %s: %v", l.path, err)
	}
	annotations, told, err := parseAnswer(output)
	switch {
	case err != nil:
		return nil, fail(CodeIOFailure, "are the two binaries of one release?", "decoding the answer of %s: %v", l.path, err)
	case told != nil:
		return nil, told
	}
	return annotations, nil
}

// parseAnswer reads the annotations or the error that the lookup tells.
func parseAnswer(output []byte) (map[string]string, *Error, error) {
	answer, err := strictjson.Parse(output, "annotations", "error")
	if err != nil {
		return nil, nil, err
	}
	if raw, ok := answer.Get("error"); ok {
		told, err := parseError(raw)
		return nil, told, err
	}
	raw, ok := answer.Get("annotations")
	if !ok {
		return nil, nil, nil // a check
	}
	annotations, err := strictjson.Strings(raw)
	return annotations, nil, err
}

func parseError(raw strictjson.Raw) (*Error, error) {
	object, err := strictjson.Parse(raw, "code", "msg", "details")
	if err != nil {
		return nil, err
	}
	code, err := strictjson.Value[int](object, "code")
	if err != nil {
		return nil, err
	}
	msg, err := strictjson.Value[string](object, "msg")
	if err != nil {
		return nil, err
	}
	details, err := strictjson.Value[string](object, "details")
	if err != nil {
		return nil, err
	}
	if code <= 0 || msg == "" {
		return nil, message.Errorf("error %d without a code or a message", code)
	}
	return &Error{Code: uint(code), Msg: msg, Details: details}, nil
}
