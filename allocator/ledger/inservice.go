package ledger

import (
	"fmt"

	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// inServiceOf returns the addresses that were judged. A controller that did not write them down yet
// judged all of a spec or nothing.
func inServiceOf(pool *crdv1.SpiderIPPool, space allocator.Space) (allocator.Space, error) {
	if pool.Status.InService != nil {
		list, err := ranges("status.inService", pool.Status.InService)
		if err != nil {
			return allocator.Space{}, err
		}
		judged, err := allocator.NewSpace(list, nil)
		if err != nil {
			return allocator.Space{}, fmt.Errorf("status.inService: %w", err)
		}
		return judged, nil
	}
	ready := meta.FindStatusCondition(pool.Status.Conditions, crdv1.ConditionReady)
	if ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == pool.Generation {
		return space, nil
	}
	return allocator.Space{}, nil
}

// rangeTexts writes a space as users write ranges; nil where it is empty.
func rangeTexts(s allocator.Space) []string {
	var texts []string
	for _, r := range s.Ranges() {
		texts = append(texts, RangeText(r))
	}
	return texts
}

// RangeText writes a range as users do.
func RangeText(r netipx.IPRange) string {
	if r.From() == r.To() {
		return r.From().String()
	}
	return r.String()
}
