package lifecycle

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// events are what people are told of addresses and pools.
type events struct{ view.Recorder }

// What was being done, as events have it.
const (
	actionKeep  = "KeepAddress"
	actionJudge = "JudgePool"
)

// held says that an address of a pod that is gone stays taken.
func (e *events) held(p *view.Pod, pool string, a netip.Addr) {
	node := "an unknown node"
	if p.Node != "" {
		node = fmt.Sprintf("node %q", p.Node)
	}
	e.Tell(p.Reference(), view.Event{
		Related: view.PoolReference(pool), Type: corev1.EventTypeWarning, Reason: crdv1.ReasonHeld, Action: actionKeep,
		Note: fmt.Sprintf("the pod is gone and no kubelet confirmed its end: address %s of pool %q is held until it is certain that %s does not use it", a, pool, node),
	})
}

// judged says on a pool what became of it.
func (e *events) judged(pool *crdv1.SpiderIPPool, c metav1.Condition) {
	on := view.PoolReference(pool.Name)
	on.UID = pool.UID
	kind := corev1.EventTypeNormal
	if c.Status != metav1.ConditionTrue || c.Reason != crdv1.ReasonInitialised {
		kind = corev1.EventTypeWarning
	}
	e.Tell(on, view.Event{Type: kind, Reason: c.Reason, Action: actionJudge, Note: c.Message})
}

// conflict says on both pods that the other claims an address of it.
func (e *events) conflict(p, other *view.Pod, pool string, a netip.Addr) {
	for _, pair := range [][2]*view.Pod{{p, other}, {other, p}} {
		e.Tell(pair[0].Reference(), view.Event{
			Related: pair[1].Reference(), Type: corev1.EventTypeWarning, Reason: crdv1.ReasonConflict, Action: actionKeep,
			Note: fmt.Sprintf("address %s of pool %q is claimed by pod %s (UID %s) too", a, pool, pair[1], pair[1].UID),
		})
	}
}
