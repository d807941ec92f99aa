package lifecycle

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	recording "k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// events tells people, by events on pods, what happens to them. Where many come
// at once some are lost: conditions and logs are not.
type events struct{ recorder recording.EventRecorder }

func newEvents(mgr manager.Manager) *events {
	return &events{mgr.GetEventRecorder("spiderpool-controller")}
}

// What was being done, as events have it.
const (
	actionAssign = "AssignAddress"
	actionUngate = "RemoveGate"
	actionKeep   = "KeepAddress"
	actionJudge  = "JudgePool"
)

// waits says why a pod has no address yet. Events of one version of a pod that
// have the same reason are counted as one, and show the note of the first.
func (e *events) waits(p *view.Pod, reason, message string) {
	e.record(p, nil, corev1.EventTypeWarning, reason, actionAssign, message)
}

// assigned says what a pod that waited was given.
func (e *events) assigned(p *view.Pod, claims []crdv1.Claim) {
	e.record(p, nil, corev1.EventTypeNormal, crdv1.ReasonAssigned, actionAssign, assignedText(claims))
}

func assignedText(claims []crdv1.Claim) string {
	texts := make([]string, len(claims))
	for i, c := range claims {
		texts[i] = fmt.Sprintf("%s of pool %q", c.Address, c.Pool)
	}
	return "assigned " + strings.Join(texts, ", ")
}

// missed says that a pod came without having passed the webhook.
func (e *events) missed(p *view.Pod) {
	e.record(p, nil, corev1.EventTypeWarning, crdv1.ReasonMissedAdmission, actionAssign,
		"the pod was admitted without the webhook, which did not answer or was not installed; it is given its addresses now")
}

// static says that a pod that would be given addresses can have none.
func (e *events) static(p *view.Pod) {
	e.record(p, nil, corev1.EventTypeWarning, crdv1.ReasonStaticPod, actionAssign,
		"the kubelet starts static pods from a file and does not read the annotations of this object, so the pod cannot be given addresses; "+
			"give it the node's network (hostNetwork: true), or make it of a DaemonSet")
}

// ungated says that our gate was taken from a pod that needs nothing of us.
func (e *events) ungated(p *view.Pod) {
	e.record(p, nil, corev1.EventTypeNormal, crdv1.ReasonUngated, actionUngate,
		"the scheduling gate "+crdv1.GateWaitingForAddress+" was removed: the pod waits for no address")
}

// held says that an address of a pod that is gone stays taken.
func (e *events) held(p *view.Pod, pool string, a netip.Addr) {
	node := "an unknown node"
	if p.Node != "" {
		node = fmt.Sprintf("node %q", p.Node)
	}
	e.record(p, poolRef(pool), corev1.EventTypeWarning, crdv1.ReasonHeld, actionKeep,
		fmt.Sprintf("the pod is gone and no kubelet confirmed its end: address %s of pool %q is held until it is certain that %s does not use it", a, pool, node))
}

// judged says on a pool what became of it.
func (e *events) judged(pool *crdv1.SpiderIPPool, c metav1.Condition) {
	kind := corev1.EventTypeNormal
	if c.Status != metav1.ConditionTrue || c.Reason != crdv1.ReasonInitialised {
		kind = corev1.EventTypeWarning
	}
	reference := poolRef(pool.Name)
	reference.UID = pool.UID
	e.recorder.Eventf(reference, nil, kind, c.Reason, actionJudge, "%s", clip(c.Message, longestNote))
}

// conflict says on a pod that another one claims an address of it.
func (e *events) conflict(p, other *view.Pod, pool string, a netip.Addr) {
	text := "address %s of pool %q is claimed by pod %s (UID %s) too"
	e.record(p, podRef(other), corev1.EventTypeWarning, crdv1.ReasonConflict, actionKeep, fmt.Sprintf(text, a, pool, other, other.UID))
	e.record(other, podRef(p), corev1.EventTypeWarning, crdv1.ReasonConflict, actionKeep, fmt.Sprintf(text, a, pool, p, p.UID))
}

func (e *events) record(p *view.Pod, related *corev1.ObjectReference, kind, reason, action, note string) {
	if related == nil { // a nil pointer in an interface is not nil
		e.recorder.Eventf(podRef(p), nil, kind, reason, action, "%s", clip(note, longestNote))
		return
	}
	e.recorder.Eventf(podRef(p), related, kind, reason, action, "%s", clip(note, longestNote))
}

// longestNote is what the API takes, in bytes.
const longestNote = 1024

// clip shortens text to at most n bytes, and shows that it did.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	const more = "…"
	cut := n - len(more)
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + more
}

func podRef(p *view.Pod) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion,
	}
}

func poolRef(name string) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: crdv1.GroupVersion.String(), Kind: "SpiderIPPool", Name: name}
}
