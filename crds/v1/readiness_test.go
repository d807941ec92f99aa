package v1

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestReadiness(t *testing.T) {
	t.Parallel()
	condition := func(status metav1.ConditionStatus, generation int64) []metav1.Condition {
		return []metav1.Condition{{Type: ConditionReady, Status: status, ObservedGeneration: generation, Reason: ReasonOverlap, Message: "it overlaps"}}
	}
	served := []string{"10.0.0.1-10.0.0.9"}
	for name, c := range map[string]struct {
		conditions []metav1.Condition
		inService  []string
		edit       func(*SpiderIPPool)
		want       Readiness
		wantWhy    string
	}{
		"judged":                              {condition(metav1.ConditionTrue, 3), served, nil, Ready, ""},
		"edited since, and some in service":   {condition(metav1.ConditionTrue, 2), served, nil, Ready, ""},
		"judged by a release that wrote less": {condition(metav1.ConditionTrue, 3), nil, nil, Ready, ""},
		"the same, and edited since":          {condition(metav1.ConditionTrue, 2), nil, nil, Undecided, "is not Ready yet since its last change"},
		"not judged":                          {nil, nil, nil, Undecided, "is not Ready yet"},
		"unknown":                             {condition(metav1.ConditionUnknown, 3), nil, nil, Undecided, "is not Ready yet"},
		"refused":                             {condition(metav1.ConditionFalse, 3), nil, nil, NotReady, "is not Ready: OverlapsOlderPool: it overlaps"},
		"refused, and edited since":           {condition(metav1.ConditionFalse, 2), nil, nil, Undecided, "is not Ready yet since its last change"},
		"refused with addresses in service":   {condition(metav1.ConditionFalse, 3), served, nil, NotReady, "is not Ready: OverlapsOlderPool: it overlaps"},
		"disabled":                            {condition(metav1.ConditionTrue, 3), served, func(p *SpiderIPPool) { p.Spec.Disable = new(true) }, Disabled, "is disabled"},
		"being deleted": {
			condition(metav1.ConditionTrue, 3), served, func(p *SpiderIPPool) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }, Deleting, "is being deleted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Generation: 3}, Status: IPPoolStatus{Conditions: c.conditions, InService: c.inService}}
			if c.edit != nil {
				c.edit(p)
			}
			if got, why := p.Readiness(); got != c.want || why != c.wantWhy {
				t.Errorf("got %d, %q, want %d, %q", got, why, c.want, c.wantWhy)
			}
		})
	}
}
