package cni

import (
	"fmt"

	"github.com/containernetworking/cni/pkg/types"
)

// Error codes of the plugin's own, beside those of the CNI specification.
const (
	// CodeLookupRefused: the API server's answer to the lookup of the pod is
	// final (no such pod, another pod of that name, no right to read it).
	CodeLookupRefused uint = 100
	// CodeCheckFailed: CHECK found an interface without its assigned address.
	CodeCheckFailed uint = 101
)

// fail makes an error whose message says what happened and whose details say
// what to look at.
func fail(code uint, details, format string, args ...any) *types.Error {
	return types.NewError(code, fmt.Sprintf(format, args...), details)
}
