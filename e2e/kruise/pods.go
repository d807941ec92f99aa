package kruise

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
)

// gates are the readiness gates of every pod: the first is set by the CloneSet
// controller, the second by OpenKruise's webhook for all pods of its kinds.
var gates = []corev1.PodConditionType{GateInPlaceUpdate, GatePodReady}

// instanceIDLength is the number of random characters in a pod's name.
const instanceIDLength = 5

// newPod returns a pod of set whose name no pod in used has, and notes it there.
func newPod(set *CloneSet, used map[string]bool) *corev1.Pod { // used: name -> taken
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       set.Namespace,
			Labels:          map[string]string{},
			Annotations:     map[string]string{},
			Finalizers:      set.Spec.Template.Finalizers,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, GroupVersion.WithKind("CloneSet"))},
		},
		Spec: *set.Spec.Template.Spec.DeepCopy(),
	}
	for key, value := range set.Spec.Template.Labels {
		pod.Labels[key] = value
	}
	for key, value := range set.Spec.Template.Annotations {
		pod.Annotations[key] = value
	}
	id := rand.String(instanceIDLength)
	for used[set.Name+"-"+id] {
		id = rand.String(instanceIDLength)
	}
	pod.Name = fmt.Sprintf("%s-%s", set.Name, id)
	used[pod.Name] = true
	pod.Labels[LabelInstanceID] = id
	pod.Labels[LabelLifecycle] = "Normal"
	for _, gate := range gates {
		addGate(pod, gate)
	}
	return pod
}

func addGate(pod *corev1.Pod, gate corev1.PodConditionType) {
	for _, g := range pod.Spec.ReadinessGates {
		if g.ConditionType == gate {
			return
		}
	}
	pod.Spec.ReadinessGates = append(pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: gate})
}

// missingConditions returns the gates that are not yet True.
func missingConditions(pod *corev1.Pod, now metav1.Time) []corev1.PodCondition {
	var missing []corev1.PodCondition
	for _, gate := range gates {
		if !conditionTrue(pod, gate) {
			missing = append(missing, corev1.PodCondition{Type: gate, Status: corev1.ConditionTrue, LastTransitionTime: now})
		}
	}
	return missing
}

func conditionTrue(pod *corev1.Pod, condition corev1.PodConditionType) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == condition {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// active reports whether pod counts as one of its set's replicas.
func active(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// deleteFirst orders pods by how little is lost with them: without node before
// with, not ready before ready, young before old.
func deleteFirst(a, b *corev1.Pod) int {
	if d := rank(a) - rank(b); d != 0 {
		return d
	}
	return b.CreationTimestamp.Compare(a.CreationTimestamp.Time)
}

func rank(pod *corev1.Pod) int {
	switch {
	case pod.Spec.NodeName == "":
		return 0
	case !conditionTrue(pod, corev1.PodReady):
		return 1
	default:
		return 2
	}
}
