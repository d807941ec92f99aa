package checker

import (
	"fmt"
	"net/netip"

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
// the kubelet write phases.
func live(pod *corev1.Pod) bool {
	if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
		return true
	}
	for _, statuses := range [][]corev1.ContainerStatus{
		pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses,
	} {
		for _, s := range statuses {
			if s.State.Running != nil {
				return true
			}
		}
	}
	return false
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
		if len(given) == 0 || h.Spec.HostNetwork {
			continue
		}
		for _, ip := range h.Status.PodIPs {
			if a, err := netip.ParseAddr(ip.IP); err != nil || !given[a.Unmap().String()] {
				found = append(found, Violation{
					Rule: RulePod, Subject: subject,
					Detail: fmt.Sprintf("runs with %s, which annotation %s%s does not say", ip.IP, crdv1.AnnotationAssignedPrefix, crdv1.DefaultNIC),
				})
			}
		}
	}
	return found
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
