package behaviours

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Kubelet pretends to be the kubelet of a node, for suites without nodes: it writes what a kubelet
// would, as the node's user, and runs nothing.
type Kubelet struct {
	env  *Env
	node string
	as   client.Client // the node's user
}

// PretendNode makes a node, Ready, with these addresses. Nobody renews its lease, so that
// Kubernetes takes it for lost after some 50 s. It goes with the test.
func (e *Env) PretendNode(t *testing.T, name string, addresses ...netip.Addr) *Kubelet {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	if err := e.Client.Create(t.Context(), node); err != nil {
		t.Fatalf("creating node %q: %v", name, err)
	}
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(e.Client.Delete(context.Background(), node)); err != nil {
			t.Errorf("deleting node %q: %v", name, err)
		}
	})
	as := rest.CopyConfig(e.Config)
	as.Impersonate = rest.ImpersonationConfig{UserName: "system:node:" + name, Groups: []string{"system:nodes", "system:authenticated"}}
	c, err := client.New(as, client.Options{Scheme: e.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	k := &Kubelet{env: e, node: name, as: c}
	k.SetReady(t, corev1.ConditionTrue, addresses...)
	return k
}

// SetReady has the node say whether it is Ready.
func (k *Kubelet) SetReady(t *testing.T, ready corev1.ConditionStatus, addresses ...netip.Addr) {
	t.Helper()
	var node corev1.Node
	if err := k.env.Client.Get(t.Context(), client.ObjectKey{Name: k.node}, &node); err != nil {
		t.Fatal(err)
	}
	before := node.DeepCopy()
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: ready, Reason: "Pretended", LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}
	for _, a := range addresses {
		node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a.String()})
	}
	if err := k.as.Status().Patch(t.Context(), &node, client.StrategicMergeFrom(before)); err != nil {
		t.Fatalf("writing the status of node %q: %v", k.node, err)
	}
}

// Remove deletes the node.
func (k *Kubelet) Remove(t *testing.T) {
	t.Helper()
	if err := k.env.Client.Delete(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: k.node}}); err != nil {
		t.Fatalf("deleting node %q: %v", k.node, err)
	}
}

// Run binds a pod to the node and reports it running, with the addresses that its default NIC was
// given.
func (k *Kubelet) Run(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	k.Bind(t, pod)
	k.Report(t, pod, func(s *corev1.PodStatus) {
		s.Phase = corev1.PodRunning
		s.ContainerStatuses = containers(pod, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}})
		s.PodIPs = addressesOf(pod)
		if len(s.PodIPs) > 0 {
			s.PodIP = s.PodIPs[0].IP
		}
		s.Conditions = append(s.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()})
	})
}

// Bind binds a pod to the node, as the scheduler does.
func (k *Kubelet) Bind(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	binding := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: k.node}}
	if err := k.env.Client.SubResource("binding").Create(t.Context(), pod, binding); err != nil {
		t.Fatalf("binding pod %s/%s: %v", pod.Namespace, pod.Name, err)
	}
	k.env.Pod(t, pod)
}

// Finish reports that the pod's containers have ended.
func (k *Kubelet) Finish(t *testing.T, pod *corev1.Pod, phase corev1.PodPhase) {
	t.Helper()
	k.Report(t, pod, func(s *corev1.PodStatus) {
		s.Phase = phase
		s.ContainerStatuses = containers(pod, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.Now()}})
	})
}

// End does what a kubelet does with a pod that was deleted: it reports the end of its containers,
// and then removes the object.
func (k *Kubelet) End(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	k.Finish(t, pod, corev1.PodFailed)
	k.eventually(t, func(ctx context.Context) error {
		err := k.as.Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID})
		return client.IgnoreNotFound(err)
	})
}

// Report changes the status of a pod as the node's user.
func (k *Kubelet) Report(t *testing.T, pod *corev1.Pod, change func(*corev1.PodStatus)) {
	t.Helper()
	k.eventually(t, func(ctx context.Context) error {
		if err := k.env.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return err
		}
		before := pod.DeepCopy()
		change(&pod.Status)
		return k.as.Status().Patch(ctx, pod, client.StrategicMergeFrom(before))
	})
}

// eventually tries again while the API server's own caches do not know yet that the pod is bound to
// the node, which makes it refuse the node's user.
func (k *Kubelet) eventually(t *testing.T, do func(context.Context) error) {
	t.Helper()
	err := Await(t.Context(), Patience, func(ctx context.Context) error {
		err := do(ctx)
		if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
			t.Fatalf("as node %q: %v", k.node, err)
		}
		return err
	})
	if err != nil {
		t.Fatalf("as node %q: %v", k.node, err)
	}
}

func containers(pod *corev1.Pod, state corev1.ContainerState) []corev1.ContainerStatus {
	all := make([]corev1.ContainerStatus, len(pod.Spec.Containers))
	for i, c := range pod.Spec.Containers {
		all[i] = corev1.ContainerStatus{Name: c.Name, Image: c.Image, State: state, Ready: state.Running != nil}
	}
	return all
}

func addressesOf(pod *corev1.Pod) []corev1.PodIP {
	var all []corev1.PodIP
	for _, a := range crdv1.AssignedOf(pod.Annotations, nil) {
		claims, err := a.Claims()
		if err != nil || a.Interface != crdv1.DefaultNIC {
			continue
		}
		for _, c := range claims {
			all = append(all, corev1.PodIP{IP: c.Address.String()})
		}
	}
	return all
}

// DeleteByForce removes a pod from the API without anybody's word on whether it has ended.
func (e *Env) DeleteByForce(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if err := e.Client.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatalf("deleting pod %s/%s by force: %v", pod.Namespace, pod.Name, err)
	}
}

// AwaitGone waits until a pod is no more.
func (e *Env) AwaitGone(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	Eventually(t, Patience, func(ctx context.Context) error {
		var now corev1.Pod
		err := e.Client.Get(ctx, client.ObjectKeyFromObject(pod), &now)
		if err == nil && now.UID == pod.UID {
			return fmt.Errorf("pod %s/%s is still there", pod.Namespace, pod.Name)
		}
		return client.IgnoreNotFound(err)
	})
}
