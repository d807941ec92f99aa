package check

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// holder is a live pod with the addresses that it claims, several of which may be of one pool.
type holder struct {
	*corev1.Pod
	claims []crdv1.Claim
	token  string
	errs   []error // what could not be read
}

func (h holder) name() string { return h.Namespace + "/" + h.Name }

// live reports whether pod may still use its addresses: it may until it is finished. A terminal
// phase alone does not prove that, since not only the kubelet writes phases. The pod garbage
// collector writes one when the node's object is gone, which says nothing about containers.
func live(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil && pod.Spec.NodeName == "" {
		return false // it will never get a node
	}
	if _, ended := pod.Annotations[crdv1.AnnotationEnded]; ended {
		return false // with its node
	}
	if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
		return true
	}
	if collected(pod) && pod.Spec.NodeName != "" && terminated(pod) < len(pod.Spec.Containers) {
		return true
	}
	return slices.ContainsFunc(slices.Concat(
		pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses,
	), func(s corev1.ContainerStatus) bool { return s.State.Running != nil })
}

// collected reports whether the pod garbage collector wrote pod's phase.
func collected(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget && c.Reason == "DeletionByPodGC" && c.Status == corev1.ConditionTrue
	})
}

func terminated(pod *corev1.Pod) int {
	n := 0
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Terminated != nil {
			n++
		}
	}
	return n
}

// runsWith returns the addresses on the pod network that a kubelet reported for pod. A pod on the
// host's network has none of its own.
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
	return holder{Pod: pod, claims: claims, errs: errs, token: pod.Annotations[crdv1.AnnotationReservation]}
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
