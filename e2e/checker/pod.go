package checker

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// holder is a live pod with the addresses that it carries.
type holder struct {
	*corev1.Pod
	claims []crdv1.Claim
	token  allocator.Token
	errs   []error
}

func (h holder) name() string { return h.Namespace + "/" + h.Name }

// live reports whether pod may still use its addresses: it does until it is
// finished, and a terminal phase alone does not make it so, since others than
// the kubelet write phases. The garbage collector writes one when the node is
// gone from the API, which says nothing of containers.
func live(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil && pod.Spec.NodeName == "" {
		return false // no node is ever given it
	}
	if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
		return true
	}
	ended := 0
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Terminated != nil {
			ended++
		}
	}
	collected := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget && c.Reason == "DeletionByPodGC" && c.Status == corev1.ConditionTrue
	})
	if collected && pod.Spec.NodeName != "" && ended < len(pod.Spec.Containers) {
		return true
	}
	return slices.ContainsFunc(slices.Concat(
		pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses,
	), func(s corev1.ContainerStatus) bool { return s.State.Running != nil })
}

// runsWith returns the addresses on the pod network that a kubelet reported for
// pod. On the network of its node it has none of its own.
func runsWith(pod *corev1.Pod) []netip.Addr {
	var all []netip.Addr
	for _, ip := range pod.Status.PodIPs {
		if a, err := netip.ParseAddr(ip.IP); err == nil && !pod.Spec.HostNetwork {
			all = append(all, a.Unmap())
		}
	}
	return all
}

func holderOf(pod *corev1.Pod) holder {
	claims, errs := crdv1.ClaimsOf(pod.Annotations)
	return holder{Pod: pod, claims: claims, errs: errs, token: allocator.Token(pod.Annotations[crdv1.AnnotationReservation])}
}

func holders(pods []corev1.Pod) []holder {
	var all []holder
	for i := range pods {
		if live(&pods[i]) {
			all = append(all, holderOf(&pods[i]))
		}
	}
	return all
}

// checkPods says which pods cannot be read or run with other addresses than
// their annotations say. The addresses in the status are the pod network's.
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

// checkWaiting compares what a pod carries with what its gate and its condition
// say of it. The gate goes in the write that brings the addresses, the condition
// is written after it.
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

// checkDoubles is I1.
func checkDoubles(holders []holder) []Violation {
	var found []Violation
	first := map[netip.Addr]holder{} // address -> who was seen with it first
	for _, h := range holders {
		for _, c := range h.claims {
			if other, ok := first[c.Address]; ok {
				found = append(found, double(c.Address, other, h))
				continue
			}
			first[c.Address] = h
		}
	}
	return found
}

func double(a netip.Addr, one, other holder) Violation {
	return Violation{
		Rule: RuleDouble, Subject: fmt.Sprintf("address %s", a),
		Detail: fmt.Sprintf("pods %s (%s) and %s (%s) carry it", one.name(), one.UID, other.name(), other.UID),
	}
}

// checkForeign is the part of I7 that pods and nodes show: nobody else has an
// address that a pod carries, neither a node nor a pod that does not claim it.
func checkForeign(holders []holder, nodes []corev1.Node) []Violation {
	users := map[netip.Addr]string{} // address -> who uses it without a claim
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
