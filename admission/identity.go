package admission

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/owners"
)

// reservationOf returns the reservation for a pod, without the token.
func reservationOf(pod *corev1.Pod, namespace string, c config.Config) allocator.Reservation {
	r := allocator.Reservation{Pod: allocator.PodRef{Namespace: namespace}}
	if grace := pod.Spec.TerminationGracePeriodSeconds; grace != nil {
		r.Grace = allocator.GraceOf(*grace)
	}
	controller := metav1.GetControllerOfNoCopy(pod)
	if controller != nil {
		r.Owner = allocator.OwnerDigest(string(controller.UID))
	}
	r.For, r.ForUID = Identity(pod.Name, namespace, controller, c)
	return r
}

// Identity returns the stable identity of a pod and the UID of its owner, or zero values where it
// has none. The controller of the pod decides, which may be nil, and the pod must be created with a
// name. A user may write anything into an owner reference: an identity that the record could not
// hold does not count.
func Identity(pod, namespace string, controller *metav1.OwnerReference, c config.Config) (allocator.Identity, string) {
	if controller == nil {
		return allocator.Identity{}, ""
	}
	kind, err := owners.KindOf(controller)
	stable := c.EnableStatefulSet && owners.IsStatefulSet(kind) || slices.Contains(c.StableIdentityKinds, kind)
	if err != nil || !stable || !short(pod) || !plain(controller.Name) {
		return allocator.Identity{}, ""
	}
	if _, numbered := owners.Ordinal(controller.Name, pod); owners.IsStatefulSet(kind) && !numbered { // the StatefulSet does not make this pod
		return allocator.Identity{}, ""
	}
	uid := string(controller.UID)
	if len(uid) > longestUID || !plain(strings.ToLower(uid)) { // it is only shown, and may be written by a user
		uid = ""
	}
	return allocator.Identity{Namespace: namespace, Group: kind.Group, Kind: kind.Kind, Name: controller.Name, Pod: pod}, uid
}

// short reports whether a pod's name can be a label value too, as for pods of a StatefulSet. A
// longer one would only bloat the record.
func short(name string) bool { return plain(name) && len(name) <= validation.LabelValueMaxLength }

// longestUID is the length of the UIDs that the API server generates.
const longestUID = len("123e4567-e89b-12d3-a456-426614174000")

func plain(name string) bool { return len(validation.IsDNS1123Subdomain(name)) == 0 }
