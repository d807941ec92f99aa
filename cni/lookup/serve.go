package lookup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/containernetworking/cni/pkg/types"

	"spidernet.io/spiderpool/cni"
	"spidernet.io/spiderpool/cni/strictjson"
)

// Request is what the plugin writes to standard input, a JSON object.
type Request struct {
	Kubeconfig string
	// Pod may be without a name: then the kubeconfig is only checked.
	Pod cni.PodRef
}

// Answer is what goes to standard output: one of the two, or neither after a
// check that found nothing.
type Answer struct {
	Annotations map[string]string `json:"annotations,omitempty"` // annotation key -> value
	Error       *types.Error      `json:"error,omitempty"`
}

// maxRequest bounds the request; a path and three names are far below it.
const maxRequest = 64 << 10

// Serve answers the one request that in holds. The error is that of reading or
// writing; everything else is in the answer.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	request, err := readRequest(in)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(answer(ctx, request))
}

func readRequest(in io.Reader) (Request, error) {
	var r Request
	text, err := io.ReadAll(io.LimitReader(in, maxRequest))
	if err != nil {
		return r, fmt.Errorf("reading request: %w", err)
	}
	object, err := strictjson.Parse(text, "kubeconfig", "namespace", "name", "uid")
	if err != nil {
		return r, fmt.Errorf("decoding request: %w", err)
	}
	for key, field := range map[string]*string{
		"kubeconfig": &r.Kubeconfig, "namespace": &r.Pod.Namespace, "name": &r.Pod.Name, "uid": &r.Pod.UID,
	} {
		if *field, err = strictjson.Value[string](object, key); err != nil {
			return r, fmt.Errorf("decoding request: %w", err)
		}
	}
	return r, nil
}

func answer(ctx context.Context, request Request) Answer {
	client, err := Load(request.Kubeconfig)
	if err == nil && request.Pod.Name == "" {
		return Answer{}
	}
	if err == nil {
		var annotations map[string]string
		if annotations, err = client.Annotations(ctx, request.Pod); err == nil {
			return Answer{Annotations: annotations}
		}
	}
	var told *types.Error
	if !errors.As(err, &told) {
		told = types.NewError(types.ErrInternal, err.Error(), "")
	}
	return Answer{Error: told}
}
