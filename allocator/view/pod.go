package view

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Pod is what is kept of a pod: everything that decisions need, little enough for 100,000 of them.
// It is immutable.
type Pod struct {
	// ObjectMeta has namespace, name, UID, resourceVersion, creation and deletion time and the
	// controller reference, nothing else.
	metav1.ObjectMeta
	Revision uint64 // the resourceVersion
	Node     string // empty until the pod is bound
	Finished bool
	Terminal bool   // its phase says that it has ended, which is no proof: see Finished
	Token    string // of its reservations; may be empty
	Assigned []crdv1.Assigned
	Claims   []crdv1.Claim // the addresses of Assigned, with their pools
	Foreign  []netip.Addr  // addresses that it has but does not claim
	Grace    time.Duration // how long it may go on running after its deletion

	// For late binding.
	Admitted       bool // the webhook has seen it, and gave it no address
	HostNetwork    bool // on its node's network
	Static         bool // created by a kubelet from a file
	Gated          bool // by our scheduling gate
	ForeignGated   bool // by the gate of another controller
	Priority       int32
	ConditionStale bool // it has addresses, but its condition AddressAssigned does not say so
}

// Waits reports whether the pod has no address, neither ours nor another IPAM's, and may still be
// given one.
func (p *Pod) Waits() bool {
	return len(p.Assigned) == 0 && len(p.Foreign) == 0 && !p.HostNetwork && !p.Finished && p.DeletionTimestamp.IsZero()
}

// NewPod returns what is kept of a pod. It fails on what no API server stores: a resourceVersion
// that is not a number, or one of our annotations that cannot be parsed.
func NewPod(pod *corev1.Pod) (*Pod, error) {
	revision, err := strconv.ParseUint(pod.ResourceVersion, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("pod %s/%s: resourceVersion %q is no number", pod.Namespace, pod.Name, pod.ResourceVersion)
	}
	p := &Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:         pod.Namespace,
			Name:              pod.Name,
			UID:               pod.UID,
			ResourceVersion:   pod.ResourceVersion,
			CreationTimestamp: pod.CreationTimestamp,
		},
		Revision:    revision,
		Node:        pod.Spec.NodeName,
		Finished:    Finished(pod) || neverBound(pod),
		Terminal:    terminal(&pod.Status),
		Token:       pod.Annotations[crdv1.AnnotationReservation],
		Assigned:    crdv1.AssignedOf(pod.Annotations, nil),
		Grace:       graceOf(pod),
		HostNetwork: pod.Spec.HostNetwork,
	}
	p.DeletionTimestamp = pod.DeletionTimestamp
	p.keepForBinding(pod)
	if owner := metav1.GetControllerOf(pod); owner != nil {
		p.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	for _, a := range p.Assigned {
		claims, err := a.Claims()
		if err != nil {
			return nil, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		p.Claims = append(p.Claims, claims...)
	}
	p.Foreign = p.foreign(pod.Status.PodIPs)
	return p, nil
}

// keepForBinding sets what late binding needs.
func (p *Pod) keepForBinding(pod *corev1.Pod) {
	_, p.Static = pod.Annotations[corev1.MirrorPodAnnotationKey]
	for _, g := range pod.Spec.SchedulingGates {
		ours := g.Name == crdv1.GateWaitingForAddress
		p.Gated, p.ForeignGated = p.Gated || ours, p.ForeignGated || !ours
	}
	if pod.Spec.Priority != nil {
		p.Priority = *pod.Spec.Priority
	}
	_, p.Admitted = pod.Annotations[crdv1.AnnotationUnassigned]
	said := AddressCondition(pod)
	late := p.Token == string(allocator.LateToken(string(p.UID)))
	p.ConditionStale = len(p.Assigned) > 0 && (said == nil && late || said != nil && said.Status != corev1.ConditionTrue)
}

// neverBound reports whether a pod was deleted before it had a node. A finalizer may keep the
// object indefinitely, but it gets no node: the API server does not bind a pod that is being
// deleted.
func neverBound(pod *corev1.Pod) bool { return pod.DeletionTimestamp != nil && pod.Spec.NodeName == "" }

// foreign returns the addresses that a kubelet reported and the pod does not claim. Those of a pod
// on the host's network belong to the node.
func (p *Pod) foreign(reported []corev1.PodIP) []netip.Addr {
	var list []netip.Addr
	for _, ip := range reported {
		a, err := netip.ParseAddr(ip.IP)
		if err != nil || p.HostNetwork {
			continue
		}
		a = a.Unmap()
		if !slices.ContainsFunc(p.Claims, func(c crdv1.Claim) bool { return c.Address == a }) {
			list = append(list, a)
		}
	}
	return list
}

// graceOf returns how long a pod may go on running after its deletion; a grace in the delete
// request counts too.
func graceOf(pod *corev1.Pod) time.Duration {
	seconds := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if s := pod.Spec.TerminationGracePeriodSeconds; s != nil {
		seconds = *s
	}
	if s := pod.DeletionGracePeriodSeconds; s != nil {
		seconds = max(seconds, *s)
	}
	return allocator.GraceOf(seconds) // a user may have written any number
}

// Finished reports whether a pod has ended: its phase says so, and none of its containers runs. The
// phase alone proves nothing: anyone who may write pods/status can set it while the containers go
// on. Nor does a phase written by the pod garbage collector, which sets it when the node's object
// is gone: then the end of each container must have been reported, or the leader must have found
// that the pod cannot run any more (crdv1.AnnotationEnded).
func Finished(pod *corev1.Pod) bool {
	s := &pod.Status
	if _, found := pod.Annotations[crdv1.AnnotationEnded]; found {
		return true
	}
	if !terminal(s) {
		return false
	}
	if pod.Spec.NodeName != "" && collected(s) && count(s.ContainerStatuses, ended) < len(pod.Spec.Containers) {
		return false
	}
	return count(s.ContainerStatuses, running)+count(s.InitContainerStatuses, running)+count(s.EphemeralContainerStatuses, running) == 0
}

func terminal(s *corev1.PodStatus) bool {
	return s.Phase == corev1.PodSucceeded || s.Phase == corev1.PodFailed
}

// MayBeLost reports whether a pod with addresses may have ended with its node: its phase is
// terminal, and nothing proves that its containers have ended.
func (p *Pod) MayBeLost() bool { return p.Terminal && p.Live() && p.Node != "" && len(p.Claims) > 0 }

func running(c *corev1.ContainerStatus) bool { return c.State.Running != nil }

func ended(c *corev1.ContainerStatus) bool { return c.State.Terminated != nil }

func count(statuses []corev1.ContainerStatus, is func(*corev1.ContainerStatus) bool) (n int) {
	for i := range statuses {
		if is(&statuses[i]) {
			n++
		}
	}
	return n
}

// collected reports whether the pod garbage collector wrote the phase.
func collected(s *corev1.PodStatus) bool {
	return slices.ContainsFunc(s.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue && c.Reason == podGC
	})
}

// podGC is the reason that the pod garbage collector sets.
const podGC = "DeletionByPodGC"

// Carries reports whether the pod claims an address of a pool.
func (p *Pod) Carries(pool string, a netip.Addr) bool {
	return slices.ContainsFunc(p.Claims, func(c crdv1.Claim) bool { return c.Is(pool, a) })
}

// NICOf returns the interface on which the pod claims an address of a pool; empty where it claims
// none.
func (p *Pod) NICOf(pool string, a netip.Addr) string {
	for _, c := range p.Claims {
		if c.Is(pool, a) {
			return c.NIC
		}
	}
	return ""
}

// Live reports whether the pod may be using its addresses.
func (p *Pod) Live() bool { return !p.Finished }

// String returns namespace/name.
func (p *Pod) String() string { return p.Namespace + "/" + p.Name }

// LeftOver reports whether a pod that no longer waits for addresses looks as if it did: it has our
// gate, or its condition does not say that it has its addresses.
func (p *Pod) LeftOver() bool {
	return p.Live() && p.DeletionTimestamp.IsZero() && !p.Waits() && (p.Gated || p.ConditionStale)
}

// AddressCondition returns the condition AddressAssigned of a pod, or nil.
func AddressCondition(pod *corev1.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == crdv1.ConditionAddressAssigned {
			return c
		}
	}
	return nil
}
