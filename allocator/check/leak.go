package check

import (
	"fmt"
	"slices"
	"time"

	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"
)

// checkLeaks checks I3. A record does not say since when an address is in its state, so a leak
// shows only by staying.
func checkLeaks(holders []holder, pools map[string]pool, owners Owners, nodes []corev1.Node) []Violation { // pools: name -> pool
	claimed := claimedOf(holders)
	var found []Violation
	for _, p := range pools {
		if p.record == nil {
			continue
		}
		c := claimed[p.Name]
		if c == nil {
			c = &netipx.IPSet{}
		}
		for _, l := range p.record.leaks(c, owners, nodes) {
			found = append(found, Violation{Rule: RuleLeak, Subject: p.subject(), Detail: l.detail, Passing: true, Patience: l.patience})
		}
	}
	return found
}

// claimedOf returns what live pods claim of each pool.
func claimedOf(holders []holder) map[string]*netipx.IPSet { // pool -> addresses
	builders := map[string]*netipx.IPSetBuilder{}
	for _, h := range holders {
		for _, c := range h.claims {
			b := builders[c.Pool]
			if b == nil {
				b = &netipx.IPSetBuilder{}
				builders[c.Pool] = b
			}
			b.Add(c.Address)
		}
	}
	sets := map[string]*netipx.IPSet{}
	for name, b := range builders {
		sets[name] = setOf(b)
	}
	return sets
}

type leak struct {
	detail   string
	patience time.Duration
}

// leaks returns the addresses that no pod has or may still come for; claimed is what live pods
// claim.
func (r *record) leaks(claimed *netipx.IPSet, owners Owners, nodes []corev1.Node) []leak {
	var found []leak
	add := func(patience time.Duration, format string, args ...any) {
		found = append(found, leak{fmt.Sprintf(format, args...), patience})
	}
	for _, lost := range without(r.settled, claimed) {
		if lost.From() == lost.To() {
			add(0, "%s is settled and no live pod carries it", lost.From())
		} else {
			add(0, "%s are settled and no live pod carries them", lost)
		}
	}
	for _, e := range r.entries {
		switch {
		case e.unassigned():
			if why := owners.misses(*e.kept); why != "" {
				add(0, "%s is retained for pod %s/%s, and %s", e.addr, e.kept.Namespace, e.kept.pod, why)
			}
		case claimed.Contains(e.addr):
		case e.inUse:
			add(0, "%s is in use by pod %s/%s and no live pod carries it", e.addr, e.kept.Namespace, e.kept.pod)
		case e.awaits != nil:
			add(0, "%s is %s, and no live pod carries it", e.addr, e.awaiting())
		case e.held != nil:
			if why, after := e.held.mayEnd(nodes); why != "" && after <= longestWait {
				add(after, "%s is held since %s, and %s", e.addr, e.held.since.Format(time.RFC3339), why)
			}
		}
	}
	return found
}

const (
	// readyAgain is how long a node must have been Ready, in addition to the pod's termination
	// grace, for a hold to end.
	readyAgain = time.Minute
	// longestWait is the longest time that a check waits for a hold. It is exceeded by the hold of
	// a pod with a long termination grace, or of one about which nothing is known any more.
	longestWait = 5 * time.Minute
)

// mayEnd says why a hold may end by the state of the nodes, and after how long at most; empty while
// it must stay.
func (h *hold) mayEnd(nodes []corev1.Node) (why string, after time.Duration) {
	proof := readyAgain + min(max(h.grace, usualGrace), countedGrace)
	if h.node == "" {
		for i := range nodes {
			if !outOfService(&nodes[i]) && !ready(&nodes[i]) {
				return "", 0
			}
		}
		return "all nodes are Ready", proof
	}
	i := slices.IndexFunc(nodes, func(n corev1.Node) bool { return n.Name == h.node })
	switch {
	case i < 0:
		return fmt.Sprintf("node %s is gone", h.node), 0
	case outOfService(&nodes[i]):
		return fmt.Sprintf("node %s is out of service", h.node), 0
	case ready(&nodes[i]):
		return fmt.Sprintf("node %s is Ready", h.node), proof
	}
	return "", 0
}

func ready(n *corev1.Node) bool {
	i := slices.IndexFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady })
	return i >= 0 && n.Status.Conditions[i].Status == corev1.ConditionTrue
}

func outOfService(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
}
