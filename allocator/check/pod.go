package check

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// checkPods finds pods that cannot be read or run with other addresses than their annotations say.
// The addresses in the status are those of the pod network.
func checkPods(holders []holder) []Violation {
	var found []Violation
	for _, h := range holders {
		subject := "pod " + h.name()
		for _, err := range h.errs {
			found = append(found, Violation{Rule: RulePod, Subject: subject, Detail: err.Error()})
		}
		found = append(found, checkWaiting(h)...)
		given := map[string]bool{} // address -> on the pod network
		for _, a := range crdv1.AssignedOf(h.Annotations, nil) {
			if a.Interface != crdv1.DefaultNIC {
				continue
			}
			claims, _ := a.Claims()
			for _, c := range claims {
				given[c.Address.String()] = true
			}
		}
		if len(given) == 0 {
			continue
		}
		for _, a := range runsWith(h.Pod) {
			if !given[a.String()] {
				found = append(found, Violation{
					Rule: RulePod, Subject: subject,
					Detail: fmt.Sprintf("runs with %s, which annotation %s%s does not say", a, crdv1.AnnotationAssignedPrefix, crdv1.DefaultNIC),
				})
			}
		}
	}
	return found
}

// checkWaiting compares what a pod has with its gate and its condition. The gate is removed in the
// write that sets the addresses, the condition is written after it.
func checkWaiting(h holder) []Violation {
	says := corev1.ConditionUnknown
	for _, c := range h.Status.Conditions {
		if c.Type == crdv1.ConditionAddressAssigned {
			says = c.Status
		}
	}
	gated := slices.ContainsFunc(h.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool {
		return g.Name == crdv1.GateWaitingForAddress
	})
	violation := func(detail string, passing bool) []Violation {
		return []Violation{{Rule: RulePod, Subject: "pod " + h.name(), Detail: detail, Passing: passing}}
	}
	switch {
	case len(h.claims) > 0 && gated:
		return violation("carries addresses and has the gate of those that wait for one", false)
	case len(h.claims) > 0 && says == corev1.ConditionFalse:
		return violation("carries addresses and its condition says that it has none", true)
	case len(h.claims) == 0 && says == corev1.ConditionTrue:
		return violation("carries no address and its condition says that it does", false)
	case len(h.claims) == 0 && gated && says != corev1.ConditionFalse:
		return violation("waits for an address and its condition does not say why", true)
	}
	return nil
}
