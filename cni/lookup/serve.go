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

func readRequest(in io.Reader) (cni.LookupRequest, error) {
	var r cni.LookupRequest
	text, err := io.ReadAll(io.LimitReader(in, maxRequest))
	if err != nil {
		return r, fmt.Errorf("reading request: %w", err)
	}
	object, err := strictjson.Parse(text, "kubeconfig", "namespace", "name", "uid")
	if err != nil {
		return r, fmt.Errorf("decoding request: %w", err)
	}
	for key, field := range map[string]*string{
		"kubeconfig": &r.Kubeconfig, "namespace": &r.Namespace, "name": &r.Name, "uid": &r.UID,
	} {
		if *field, err = strictjson.Value[string](object, key); err != nil {
			return r, fmt.Errorf("decoding request: %w", err)
		}
	}
	return r, nil
}

func answer(ctx context.Context, request cni.LookupRequest) cni.LookupAnswer {
	client, err := Load(request.Kubeconfig)
	if err == nil && request.Name == "" {
		return cni.LookupAnswer{}
	}
	if err == nil {
		var annotations map[string]string
		pod := cni.PodRef{Namespace: request.Namespace, Name: request.Name, UID: request.UID}
		if annotations, err = client.Annotations(ctx, pod); err == nil {
			return cni.LookupAnswer{Annotations: annotations}
		}
	}
	var told *types.Error
	if !errors.As(err, &told) {
		told = types.NewError(types.ErrInternal, err.Error(), "")
	}
	return cni.LookupAnswer{Error: told}
}
