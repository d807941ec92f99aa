package admission

import (
	"context"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Paths of the webhooks; the chart's webhook configurations name them.
const (
	PathMutatePods          = "/mutate-pods"
	PathMutatePools         = "/mutate-spiderippools"
	PathValidatePools       = "/validate-spiderippools"
	PathMutateReservedIPs   = "/mutate-spiderreservedips"
	PathValidateReservedIPs = "/validate-spiderreservedips"
)

// Registrar registers handlers; the webhook server of controller-runtime is one.
type Registrar interface {
	Register(path string, hook http.Handler)
}

// Register puts all webhooks on the server. The scheme has pods and the kinds of crds/v1.
//
// The defaulters are used without DefaulterRemoveUnknownOrOmitableFields: fields of a newer API
// version that our types lack are kept.
func Register(server Registrar, scheme *runtime.Scheme, pods *PodDefaulter, pools *PoolValidator, reserved *ReservedIPValidator) {
	server.Register(PathMutatePods, admission.WithDefaulter(scheme, pods))
	server.Register(PathMutatePools, leavingTypesToSchema(admission.WithDefaulter(scheme, PoolDefaulter{})))
	server.Register(PathValidatePools, admission.WithValidator(scheme, pools))
	server.Register(PathMutateReservedIPs, leavingTypesToSchema(admission.WithDefaulter(scheme, ReservedIPDefaulter{})))
	server.Register(PathValidateReservedIPs, admission.WithValidator(scheme, reserved))
}

// leavingTypesToSchema lets a mutating webhook of our own kinds pass what it cannot decode. The API
// server validates against the schema only after mutation, and its error names each field and the
// type it must have; ours would be only the first error of encoding/json. What the schema should
// never let pass cannot be decoded by the validating webhook either.
func leavingTypesToSchema(hook *admission.Webhook) *admission.Webhook {
	inner := hook.Handler
	hook.Handler = admission.HandlerFunc(func(ctx context.Context, request admission.Request) admission.Response {
		response := inner.Handle(ctx, request)
		if response.Result != nil && response.Result.Code == http.StatusBadRequest { // the defaulters themselves return no errors
			return admission.Allowed("")
		}
		return response
	})
	return hook
}
