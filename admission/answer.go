package admission

import (
	"context"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"spidernet.io/spiderpool/admission/selection"
)

// reserveError says that candidates were chosen and no addresses reserved.
type reserveError struct {
	chosen selection.Selection
	cause  error
}

func (e *reserveError) Error() string {
	text := "pools chosen by " + e.chosen.Rule + ": " + e.cause.Error()
	if passed := e.chosen.PassedOver(); passed != "" {
		text += "; passed over: " + passed
	}
	return text
}

func (e *reserveError) Unwrap() error { return e.cause }

// answer turns the outcome for a pod into what the API server is told. What a user can mend is refused as forbidden.
func answer(ctx context.Context, given bool, err error) (outcome, error) {
	var refusal *selection.Refusal
	switch {
	case err == nil && given:
		return outcomeAssigned, nil
	case err == nil:
		return outcomeLeftAlone, nil
	case errors.As(err, &refusal) && !refusal.NotYet:
		log.FromContext(ctx).V(1).Info("pod refused", "reason", err.Error())
		return outcomeRefused, status(http.StatusForbidden, metav1.StatusReasonForbidden, err.Error())
	}
	return noAddressYet(ctx, err)
}

// noAddressYet answers for every pod that is to have an address and cannot be given one now, be it that its pools are full or not
// Ready, be it that something failed inside. There is nothing to mend in the pod. Late binding will admit it here; until then it is
// refused and its controller tries again.
func noAddressYet(ctx context.Context, err error) (outcome, error) {
	var exhausted Exhausted
	var refusal *selection.Refusal
	if errors.As(err, &refusal) || errors.As(err, &exhausted) && exhausted.Exhausted() {
		log.FromContext(ctx).V(1).Info("no address for pod", "reason", err.Error())
		return outcomeNoAddress, status(http.StatusConflict, metav1.StatusReasonConflict, err.Error())
	}
	log.FromContext(ctx).Error(err, "no address for pod")
	return outcomeFailed, status(http.StatusInternalServerError, metav1.StatusReasonInternalError,
		"no address could be reserved for an internal reason, try again: "+err.Error())
}

func status(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message}}
}
