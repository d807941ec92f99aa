package behaviours

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Clients is how many requests a burst has under way at once.
const Clients = 32

// NewPod returns a pod of one container with annotations. It has a termination grace: the API
// server removes a pod that has none without its kubelet's word, and its addresses are held.
func NewPod(namespace, name string, annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: annotations},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: new(int64(1)),
			Containers: []corev1.Container{{
				Name: "main", Image: "busybox", ImagePullPolicy: corev1.PullIfNotPresent,
				Command: []string{"/bin/sh", "-c", "trap : TERM INT; sleep infinity & wait"},
			}},
		},
	}
}

// FromPools returns the annotation that names candidate pools.
func FromPools(ipv4, ipv6 []string) map[string]string {
	value, err := json.Marshal(struct {
		IPv4 []string `json:"ipv4,omitempty"`
		IPv6 []string `json:"ipv6,omitempty"`
	}{ipv4, ipv6})
	if err != nil {
		panic(err) // strings always have a JSON form
	}
	return map[string]string{crdv1.AnnotationIPPool: string(value)}
}

// Create makes a pod that must be admitted, and returns what its default NIC was given.
func (e *Env) Create(t *testing.T, pod *corev1.Pod, options ...client.CreateOption) crdv1.Assigned {
	t.Helper()
	if err := e.Client.Create(t.Context(), pod, options...); err != nil {
		t.Fatalf("creating pod %s/%s: %v", pod.Namespace, pod.Name, err)
	}
	return Assigned(t, pod)
}

// Refused makes a pod that must not be admitted, and returns the refusal.
func (e *Env) Refused(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	err := e.Client.Create(t.Context(), pod)
	if err == nil {
		t.Fatalf("pod %s/%s was admitted with annotations %v", pod.Namespace, pod.Name, pod.Annotations)
	}
	return err.Error()
}

// Assigned returns what the default NIC of a pod was given.
func Assigned(t *testing.T, pod *corev1.Pod) crdv1.Assigned {
	t.Helper()
	value, ok := pod.Annotations[crdv1.AnnotationAssignedPrefix+crdv1.DefaultNIC]
	if !ok {
		t.Fatalf("pod %s/%s carries no address: %v", pod.Namespace, pod.Name, pod.Annotations)
	}
	a, err := crdv1.ParseAssigned(crdv1.DefaultNIC, value)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Addresses returns the addresses that pods carry.
func Addresses(pods []corev1.Pod) map[netip.Addr]string { // address -> namespace/name
	all := map[netip.Addr]string{}
	for i := range pods {
		claims, _ := crdv1.ClaimsOf(pods[i].Annotations)
		for _, c := range claims {
			all[c.Address] = pods[i].Namespace + "/" + pods[i].Name
		}
	}
	return all
}

// Pods lists the pods of a namespace.
func (e *Env) Pods(ctx context.Context, namespace string) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := e.Client.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing pods of namespace %q: %w", namespace, err)
	}
	return list.Items, nil
}

// DeleteAll deletes every pod of a namespace, many at once.
func (e *Env) DeleteAll(t *testing.T, namespace string) {
	t.Helper()
	pods, err := e.Pods(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	AtOnce(len(pods), func(i int) {
		if err := client.IgnoreNotFound(e.Client.Delete(t.Context(), &pods[i])); err != nil {
			t.Errorf("deleting pod %s/%s: %v", namespace, pods[i].Name, err)
		}
	})
}

// AtOnce calls f for 0 to n-1, with Clients calls under way at any moment.
func AtOnce(n int, f func(i int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range Clients {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// Ready returns an error that says why a pod is not Ready.
func Ready(pod *corev1.Pod) error {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("pod %s/%s is not Ready: %+v", pod.Namespace, pod.Name, pod.Status)
}
