package admission

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// strip removes the annotations that only we set: at creation they are either forged or copied from
// another pod.
func strip(pod *corev1.Pod) {
	maps.DeleteFunc(pod.Annotations, func(key, _ string) bool {
		return key == crdv1.AnnotationReservation || key == crdv1.AnnotationUnassigned || strings.HasPrefix(key, crdv1.AnnotationAssignedPrefix)
	})
}
