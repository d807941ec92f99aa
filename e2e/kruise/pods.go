package kruise

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
)

// gates are the readiness gates that OpenKruise sets. The CloneSet controller adds the first to its
// pods, a StatefulSet's pods have it if the template says so; the second is added by OpenKruise's
// webhook to the pods of all its kinds.
var gates = []corev1.PodConditionType{GateInPlaceUpdate, GatePodReady}

// instanceIDLength is the number of random characters in a pod's name.
const instanceIDLength = 5

// newClonePod returns a pod of set with a name that is not in used, and adds it there.
func newClonePod(set *CloneSet, used map[string]bool) *corev1.Pod { // used: name -> taken
	pod := fromTemplate(set, "CloneSet", &set.Spec.Template)
	id := rand.String(instanceIDLength)
	for used[set.Name+"-"+id] {
		id = rand.String(instanceIDLength)
	}
	pod.Name = fmt.Sprintf("%s-%s", set.Name, id)
	used[pod.Name] = true
	pod.Labels[LabelInstanceID] = id
	addGate(pod, GateInPlaceUpdate)
	addGate(pod, GatePodReady)
	return pod
}

// newStatefulPod returns the pod of set with ordinal n.
func newStatefulPod(set *StatefulSet, n int) *corev1.Pod {
	pod := fromTemplate(set, "StatefulSet", &set.Spec.Template)
	pod.Name = fmt.Sprintf("%s-%d", set.Name, n)
	pod.Labels[appsv1.StatefulSetPodNameLabel] = pod.Name
	pod.Labels[appsv1.PodIndexLabel] = strconv.Itoa(n)
	pod.Spec.Hostname = pod.Name
	pod.Spec.Subdomain = set.Spec.ServiceName
	addGate(pod, GatePodReady)
	return pod
}

// fromTemplate returns a pod without a name, controlled by owner.
func fromTemplate(owner metav1.Object, kind string, template *corev1.PodTemplateSpec) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       owner.GetNamespace(),
			Labels:          map[string]string{},
			Annotations:     map[string]string{},
			Finalizers:      template.Finalizers,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, GroupVersion.WithKind(kind))},
		},
		Spec: *template.Spec.DeepCopy(),
	}
	maps.Copy(pod.Labels, template.Labels)
	maps.Copy(pod.Annotations, template.Annotations)
	pod.Labels[LabelLifecycle] = "Normal"
	return pod
}

func addGate(pod *corev1.Pod, gate corev1.PodConditionType) {
	if !hasGate(pod, gate) {
		pod.Spec.ReadinessGates = append(pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: gate})
	}
}

func hasGate(pod *corev1.Pod, gate corev1.PodConditionType) bool {
	return slices.ContainsFunc(pod.Spec.ReadinessGates, func(g corev1.PodReadinessGate) bool { return g.ConditionType == gate })
}

// missingConditions returns those of pod's gates that OpenKruise sets and that are not True yet.
func missingConditions(pod *corev1.Pod, now metav1.Time) []corev1.PodCondition {
	var missing []corev1.PodCondition
	for _, gate := range gates {
		if hasGate(pod, gate) && !conditionTrue(pod, gate) {
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

// active reports whether pod counts as a replica of its set.
func active(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && !finished(pod)
}

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// deleteFirst orders pods by how little is lost with them: without a node first, then not ready,
// then the youngest.
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
