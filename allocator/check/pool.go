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
	serves *netipx.IPSet // what it hands out; nil where the spec cannot be read, or the pool is not Ready
	ready  bool
}

func (p pool) subject() string { return fmt.Sprintf("pool %q", p.Name) }

// readInService returns what a Ready pool hands out: the part of its spec that the leader has
// judged. A controller that does not write inService judged a spec as a whole.
func readInService(p *pool) (*netipx.IPSet, error) {
	if p.Status.InService == nil {
		c := apimeta.FindStatusCondition(p.Status.Conditions, crdv1.ConditionReady)
		if c.ObservedGeneration == p.Generation {
			return p.space, nil
		}
		return &netipx.IPSet{}, nil
	}
	var all netipx.IPSetBuilder
	for i, text := range p.Status.InService {
		r, err := readRange(text, anywhere)
		if err != nil {
			return nil, fmt.Errorf("status.inService[%d]: %w", i, err)
		}
		all.AddRange(r)
	}
	all.Intersect(p.space)
	return setOf(&all), nil
}

// judged reports whether the leader has written the status since the last edit of the spec.
func (p pool) judged() bool {
	c := apimeta.FindStatusCondition(p.Status.Conditions, crdv1.ConditionReady)
	return c != nil && c.ObservedGeneration == p.Generation
}

// free counts the addresses that the pool hands out and that are free, 1<<63-1 at most. Its spec
// and its status must have been read.
func (p pool) free() int64 {
	var left netipx.IPSetBuilder
	left.AddSet(p.serves)
	left.RemoveSet(p.record.settled)
	for _, e := range p.record.entries {
		left.Remove(e.addr)
	}
	return size(setOf(&left))
}

// readPools reads all pools. What cannot be read is a violation, and is not checked further.
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
		if p.ready && p.space != nil {
			if p.serves, err = readInService(&p); err != nil {
				found = append(found, Violation{Rule: RulePools, Subject: p.subject(), Detail: "Ready although " + err.Error()})
			}
		}
		pools[p.Name] = p
	}
	return pools, found
}
