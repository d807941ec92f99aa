package admission

import (
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

// Registrar takes handlers; the webhook server of controller-runtime is one.
type Registrar interface {
	Register(path string, hook http.Handler)
}

// Register puts all webhooks on the server. The scheme knows pods and the kinds of crds/v1.
//
// The defaulters are used without DefaulterRemoveUnknownOrOmitableFields: fields that a newer API version has, and our types do not
// know, stay.
func Register(server Registrar, scheme *runtime.Scheme, pods *PodDefaulter, pools *PoolValidator, reserved *ReservedIPValidator) {
	server.Register(PathMutatePods, admission.WithDefaulter(scheme, pods))
	server.Register(PathMutatePools, admission.WithDefaulter(scheme, PoolDefaulter{}))
	server.Register(PathValidatePools, admission.WithValidator(scheme, pools))
	server.Register(PathMutateReservedIPs, admission.WithDefaulter(scheme, ReservedIPDefaulter{}))
	server.Register(PathValidateReservedIPs, admission.WithValidator(scheme, reserved))
}
