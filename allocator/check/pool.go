package check

import (
	"fmt"

	"go4.org/netipx"
	apimeta "k8s.io/apimachinery/pkg/api/meta"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// pool is one pool as read.
type pool struct {
	*crdv1.SpiderIPPool
	record *record       // nil where the status cannot be read
	space  *netipx.IPSet // what it may hand out; nil where the spec cannot be read
	ready  bool
}

func (p pool) subject() string { return fmt.Sprintf("pool %q", p.Name) }

// readPools reads all pools. What cannot be read is a violation, and nothing more is said of it.
func readPools(items []crdv1.SpiderIPPool) (map[string]pool, []Violation) { // name -> pool
	pools := map[string]pool{}
	var found []Violation
	for i := range items {
		p := pool{SpiderIPPool: &items[i]}
		p.ready = apimeta.IsStatusConditionTrue(p.Status.Conditions, crdv1.ConditionReady)
		var err error
		if p.record, err = readRecord(&p.Status); err != nil {
			found = append(found, Violation{Rule: RuleCounters, Subject: p.subject(), Detail: err.Error()})
		}
		if p.space, err = readSpec(&p.Spec); err != nil && p.ready {
			found = append(found, Violation{Rule: RulePools, Subject: p.subject(), Detail: "Ready although " + err.Error()})
		}
		pools[p.Name] = p
	}
	return pools, found
}
