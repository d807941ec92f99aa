package behaviours

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
)

// AwaitCollector waits until the garbage collector knows the pods of a namespace: those that it has
// not heard of when their owner is deleted without them it takes for garbage a moment later. It
// hears of pods in their order, so it knows all others once it has removed one whose owner never
// was.
func (e *Env) AwaitCollector(t *testing.T, namespace string) {
	t.Helper()
	pod := NewPod(namespace, "", nil)
	pod.GenerateName = "garbage-"
	pod.Spec.HostNetwork = true // it needs no address
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "never-was", UID: uuid.NewUUID()}}
	if err := e.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	e.AwaitGone(t, pod)
}
