package checker

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// leakers are those who may have, or come for, a recorded address.
type leakers struct {
	claimed map[crdv1.Claim]bool // claim -> a live pod makes it
	owners  Owners
	nodes   []corev1.Node
}

func claimed(holders []holder) map[crdv1.Claim]bool { // claim -> a live pod makes it
	all := map[crdv1.Claim]bool{}
	for _, h := range holders {
		for _, c := range h.claims {
			all[c] = true
		}
	}
	return all
}

// leaks is I3. Records do not say since when an address is what it is, so a
// leak shows only by staying.
func (p pool) leaks(who leakers) []Violation {
	var found []Violation
	leak := func(patience time.Duration, format string, args ...any) {
		found = append(found, Violation{
			Rule: RuleLeak, Subject: p.subject(), Detail: fmt.Sprintf(format, args...), Passing: true, Patience: patience,
		})
	}
	nobody := func(a netip.Addr) bool { return !who.claimed[crdv1.Claim{Pool: p.Name, Address: a}] }
	for a := range p.record.AllInUse() {
		if nobody(a) {
			leak(0, "%s is %s and no live pod carries it", a, p.inUse(a))
		}
	}
	for a, v := range p.record.Awaited() {
		_, retained := p.record.RetainedAt(a)
		if nobody(a) {
			leak(0, "%s is %s for token %s in namespace %s, and no live pod carries it", a, awaiting(retained), v.Token, v.Pod.Namespace)
		}
	}
	for a, v := range p.record.Retained() {
		if !v.Unassigned() {
			continue
		}
		if why := who.owners.misses(v.Identity); why != "" {
			leak(0, "%s is retained for pod %s/%s, and %s", a, v.Identity.Namespace, v.Identity.Pod, why)
		}
	}
	for a, v := range p.record.AllHeld() {
		if why, after := mayEnd(v, who.nodes); why != "" && after <= longest && nobody(a) {
			leak(after, "%s is held since %s, and %s", a, v.Since.UTC().Format(time.RFC3339), why)
		}
	}
	return found
}

func (p pool) inUse(a netip.Addr) string {
	if v, ok := p.record.RetainedAt(a); ok {
		return fmt.Sprintf("in use by pod %s/%s", v.Identity.Namespace, v.Identity.Pod)
	}
	return "settled"
}

const (
	// wellAgain is how long a node must have been Ready, beside the pod's
	// termination grace, for a hold to end.
	wellAgain = time.Minute
	// longest is what no test waits beyond: a hold of a pod with a long
	// termination grace, or of one of which nothing is known any more.
	longest = 5 * time.Minute
)

// mayEnd says why a hold may end as the nodes stand now, and after how long at
// most; nothing while it has to stay.
func mayEnd(h allocator.Hold, nodes []corev1.Node) (why string, after time.Duration) {
	proof := wellAgain + max(h.Grace, allocator.DefaultGrace)
	if h.Node == "" {
		for i := range nodes {
			if !outOfService(&nodes[i]) && !ready(&nodes[i]) {
				return "", 0
			}
		}
		return "all nodes are Ready", proof
	}
	i := slices.IndexFunc(nodes, func(n corev1.Node) bool { return n.Name == h.Node })
	switch {
	case i < 0:
		return fmt.Sprintf("node %s is gone", h.Node), 0
	case outOfService(&nodes[i]):
		return fmt.Sprintf("node %s is out of service", h.Node), 0
	case ready(&nodes[i]):
		return fmt.Sprintf("node %s is Ready", h.Node), proof
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
