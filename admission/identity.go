package admission

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/allocator"
)

// statefulSets are the kinds that enableStatefulSet is about.
var statefulSets = []schema.GroupKind{{Group: "apps", Kind: "StatefulSet"}, {Group: "apps.kruise.io", Kind: "StatefulSet"}}

// reservationOf returns what a reservation says of a pod, but for the token.
func reservationOf(pod *corev1.Pod, namespace string, c config.Config) allocator.Reservation {
	r := allocator.Reservation{Pod: allocator.PodRef{Namespace: namespace}}
	if grace := pod.Spec.TerminationGracePeriodSeconds; grace != nil {
		r.Grace = allocator.GraceOf(*grace)
	}
	controller := metav1.GetControllerOfNoCopy(pod)
	if controller == nil {
		return r
	}
	r.Owner = allocator.OwnerDigest(string(controller.UID))
	r.For, r.ForUID = Identity(pod.Name, namespace, controller, c)
	return r
}

// Identity returns the stable identity of a pod with this controller, which may be nil, and the UID of the identity's owner to be
// shown; zero values where it has none.
func Identity(pod, namespace string, controller *metav1.OwnerReference, c config.Config) (allocator.Identity, string) {
	if controller == nil {
		return allocator.Identity{}, ""
	}
	id := identityOf(pod, namespace, controller, c)
	if id == (allocator.Identity{}) || !plain(strings.ToLower(string(controller.UID))) {
		return id, ""
	}
	return id, string(controller.UID)
}

// identityOf returns the stable identity of a pod, or the zero value where it has none: who controls it decides, and it must come with
// a name. What a user writes into an owner reference need not be a name at all; an identity that could not be recorded is none.
func identityOf(pod, namespace string, controller *metav1.OwnerReference, c config.Config) allocator.Identity {
	gv, err := schema.ParseGroupVersion(controller.APIVersion)
	kind := schema.GroupKind{Group: gv.Group, Kind: controller.Kind}
	stable := c.EnableStatefulSet && slices.Contains(statefulSets, kind) || slices.Contains(c.StableIdentityKinds, kind)
	if err != nil || !stable || !plain(pod) || !plain(controller.Name) {
		return allocator.Identity{}
	}
	return allocator.Identity{Namespace: namespace, Group: kind.Group, Kind: kind.Kind, Name: controller.Name, Pod: pod}
}

func plain(name string) bool { return len(validation.IsDNS1123Subdomain(name)) == 0 }
