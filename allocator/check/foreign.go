package check

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// checkSpace checks the part of I7 that records show: a pool records only what it may hand out.
func checkSpace(pools map[string]pool) []Violation { // pools: name -> pool
	var found []Violation
	for _, p := range pools {
		if p.record == nil || p.space == nil {
			continue
		}
		for _, r := range without(p.record.taken(), p.space) {
			found = append(found, Violation{
				Rule: RuleForeign, Subject: p.subject(), Detail: fmt.Sprintf("records %s, which spec does not let it hand out", spelled(r)),
			})
		}
	}
	return found
}

// checkForeign checks the part of I7 that pods and nodes show: no node, and no pod that does not
// claim it, has an address that a pod claims.
func checkForeign(holders []holder, nodes []corev1.Node) []Violation {
	users := map[netip.Addr]string{} // address -> what uses it without a claim
	for _, h := range holders {
		for _, a := range runsWith(h.Pod) {
			if !slices.ContainsFunc(h.claims, func(c crdv1.Claim) bool { return c.Address == a }) {
				users[a] = fmt.Sprintf("pod %s (%s) runs with it and does not claim it", h.name(), h.UID)
			}
		}
	}
	for _, n := range nodes {
		for _, address := range n.Status.Addresses {
			if a, err := netip.ParseAddr(address.Address); err == nil {
				users[a.Unmap()] = "it is an address of node " + n.Name
			}
		}
	}
	var found []Violation
	for _, h := range holders {
		for _, c := range h.claims {
			if user, ok := users[c.Address]; ok {
				found = append(found, Violation{
					Rule: RuleForeign, Subject: "pod " + h.name(), Detail: fmt.Sprintf("carries %s, and %s", c.Address, user),
				})
			}
		}
	}
	return found
}
