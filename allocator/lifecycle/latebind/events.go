package latebind

import (
	corev1 "k8s.io/api/core/v1"

	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// events records events on pods that are or were pending.
type events struct{ view.Recorder }

// Actions of events.
const (
	actionAssign = "AssignAddress"
	actionUngate = "RemoveGate"
)

func (e *events) record(p *view.Pod, kind, reason, action, note string) {
	e.Tell(p.Reference(), view.Event{Type: kind, Reason: reason, Action: action, Note: note})
}

// waits says why a pod has no address yet.
func (e *events) waits(p *view.Pod, reason, message string) {
	e.record(p, corev1.EventTypeWarning, reason, actionAssign, message)
}

// assigned says which addresses a pending pod was given.
func (e *events) assigned(p *view.Pod, claims []crdv1.Claim) {
	e.record(p, corev1.EventTypeNormal, crdv1.ReasonAssigned, actionAssign, view.AssignedText(claims))
}

// missed says that a pod was created without passing the webhook.
func (e *events) missed(p *view.Pod) {
	e.record(p, corev1.EventTypeWarning, crdv1.ReasonMissedAdmission, actionAssign,
		"the pod was admitted without the webhook, which did not answer or was not installed; it is given its addresses now")
}

// static says that a static pod would be given addresses but cannot have any.
func (e *events) static(p *view.Pod) {
	e.record(p, corev1.EventTypeWarning, crdv1.ReasonStaticPod, actionAssign,
		"the kubelet starts static pods from a file and does not read the annotations of this object, so the pod cannot be given addresses; "+
			"give it the node's network (hostNetwork: true), or make it of a DaemonSet")
}

// ungated says that our gate was removed from a pod that needs no address from us.
func (e *events) ungated(p *view.Pod) {
	e.record(p, corev1.EventTypeNormal, crdv1.ReasonUngated, actionUngate,
		"the scheduling gate "+crdv1.GateWaitingForAddress+" was removed: the pod waits for no address")
}
