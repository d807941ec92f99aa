package admission

import (
	"maps"

	corev1 "k8s.io/api/core/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// strip removes the annotations that only we set: at creation they are either forged or copied from
// another pod.
func strip(pod *corev1.Pod) {
	maps.DeleteFunc(pod.Annotations, func(key, _ string) bool { return crdv1.OnlyOurs(key) })
}
