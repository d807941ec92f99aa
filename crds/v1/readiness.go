package v1

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Readiness says whether a pool gives new addresses.
//
// +kubebuilder:object:generate=false
type Readiness int

const (
	// Ready pools give the addresses that are in service.
	Ready Readiness = iota
	// Undecided pools were not looked at by the leader yet, which passes by itself.
	Undecided
	// NotReady pools have something against them, which the leader has found.
	NotReady
	// Disabled pools have spec.disable set.
	Disabled
	// Deleting pools are being deleted.
	Deleting
)

// Readiness says whether the pool gives new addresses, and if not, why: the rest of a sentence that
// begins with the pool. This is the one place that decides it.
func (p *SpiderIPPool) Readiness() (Readiness, string) {
	switch {
	case !p.DeletionTimestamp.IsZero():
		return Deleting, "is being deleted"
	case p.Spec.Disable != nil && *p.Spec.Disable:
		return Disabled, "is disabled"
	}
	c := p.ReadyCondition()
	switch {
	case c == nil || c.Status == metav1.ConditionUnknown:
		return Undecided, "is not Ready yet"
	case c.Status == metav1.ConditionTrue && (len(p.Status.InService) > 0 || c.ObservedGeneration == p.Generation):
		return Ready, ""
	case c.ObservedGeneration != p.Generation:
		return Undecided, "is not Ready yet since its last change"
	}
	return NotReady, fmt.Sprintf("is not Ready: %s: %s", c.Reason, c.Message)
}

// ReadyCondition returns the condition Ready; nil where there is none.
func (p *SpiderIPPool) ReadyCondition() *metav1.Condition {
	return meta.FindStatusCondition(p.Status.Conditions, ConditionReady)
}
