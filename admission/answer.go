package admission

import (
	"context"
	"errors"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/admission/selection"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// errGated says that a pod came with scheduling gates. It may stay queued for hours and must not
// keep an address all that time. Our own gate set by a user counts too: late binding removes it
// when it gives the pod its addresses.
var errGated = errors.New("the pod came with scheduling gates")

// deferredError says that a pod is given its addresses later, on purpose: where it runs decides
// which.
type deferredError struct{ why choice.Reason }

func (e *deferredError) Error() string { return e.why.Message }

// outcome is how the admission of a pod ended.
type outcome string

const (
	outcomeAssigned   outcome = "assigned"   // it carries its addresses
	outcomeLeftAlone  outcome = "left_alone" // not managed by us
	outcomeRefused    outcome = "refused"
	outcomeWaiting    outcome = "waiting"    // admitted with the gate
	outcomeUnassigned outcome = "unassigned" // admitted without an address and without the gate: it names its node, or must be scheduled first
)

// answer is what the API server answers for a pod, and why.
type answer struct {
	outcome outcome
	reason  string // one of the reasons of crds/v1; empty where none is needed
	refusal error  // nil for an admitted pod
}

// answerTo turns the result for a pod into an answer. A pod is refused where its user can fix
// something, and otherwise only where the configuration says so. All other pods are admitted,
// without what may already have been written to them.
func answerTo(pod *corev1.Pod, given bool, err error, exhaustion config.Exhaustion) answer {
	var refusal *selection.Refusal
	var exhausted Exhausted
	var deferred *deferredError
	switch {
	case err == nil && given:
		return answer{outcome: outcomeAssigned}
	case err == nil:
		return answer{outcome: outcomeLeftAlone}
	case errors.Is(err, errGated):
		return wait(pod, crdv1.ReasonForeignGate)
	case errors.As(err, &deferred):
		return unassigned(pod, deferred.why.Reason)
	case notYet(err):
		return exhaust(pod, crdv1.ReasonPoolNotReady, err, exhaustion)
	case errors.As(err, &refusal):
		return refuse(crdv1.ReasonNoPool, http.StatusForbidden, metav1.StatusReasonForbidden, err)
	case errors.As(err, &exhausted) && exhausted.Exhausted():
		return exhaust(pod, exhausted.Cause(), err, exhaustion)
	}
	return wait(pod, crdv1.ReasonInternal)
}

func exhaust(pod *corev1.Pod, reason string, err error, exhaustion config.Exhaustion) answer {
	if exhaustion == config.ExhaustionReject {
		return refuse(reason, http.StatusConflict, metav1.StatusReasonConflict, err)
	}
	return wait(pod, reason)
}

func refuse(reason string, code int32, statusReason metav1.StatusReason, err error) answer {
	return answer{outcome: outcomeRefused, reason: reason, refusal: statusError(code, statusReason, err.Error())}
}

// wait leaves a pod to late binding and says why. One that names its node cannot have a gate: the
// API server would refuse it.
func wait(pod *corev1.Pod, reason string) answer {
	strip(pod)
	if pod.Spec.NodeName != "" {
		return unassigned(pod, reason)
	}
	choice.Patch{Gate: choice.GateAdded}.Apply(pod)
	return answer{outcome: outcomeWaiting, reason: reason}
}

// unassigned notes on a pod why it has no address, and thereby that it did pass the webhook:
// nothing else shows that.
func unassigned(pod *corev1.Pod, reason string) answer {
	choice.Patch{Annotations: map[string]string{crdv1.AnnotationUnassigned: reason}}.Apply(pod)
	return answer{outcome: outcomeUnassigned, reason: reason}
}

// log says why a pod has no address. Only internal errors are always logged; all else is counted,
// and events and conditions on the pod say it.
func (a answer) log(ctx context.Context, err error) {
	switch {
	case err == nil:
	case a.reason == crdv1.ReasonInternal:
		log.FromContext(ctx).Error(err, "no address for pod", "outcome", a.outcome)
	default:
		log.FromContext(ctx).V(1).Info("no address for pod", "outcome", a.outcome, "reason", a.reason, "message", err.Error())
	}
}

func notYet(err error) bool {
	var refusal *selection.Refusal
	return errors.As(err, &refusal) && refusal.NotYet
}

func statusError(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}}
}
