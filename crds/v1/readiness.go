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
	// Undecided: the leader has not looked at the pool yet. That passes by itself.
	Undecided
	// NotReady: the leader has found something against it.
	NotReady
	// Disabled by spec.disable.
	Disabled
	// Deleting: the pool is being deleted.
	Deleting
)

// Readiness says whether the pool gives new addresses, and if not, why: the rest
// of a sentence that begins with the pool. This is the one place that decides it.
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
