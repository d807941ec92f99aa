package controlplane

import (
	_ "embed" // the manifest
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed node-unknown.yaml
var nodeUnknownManifest []byte

// NodeUnknown proves: pods that name a node that never was, deleted by force and kept by a
// finalizer, which count in no quota, leave half of the pool to other namespaces. Once the pod
// garbage collector has failed them their addresses come free, although their objects stay; and
// that is final: a node that registers by the name later finds them ended.
var NodeUnknown = behaviours.Behaviour{ID: "node-unknown", Manifest: nodeUnknownManifest, Test: nodeUnknown}

const (
	nodeUnknownPool = "node-unknown-pool"
	neverWas        = "node-unknown-node"
	staying         = "example.com/stays"
)

func nodeUnknown(t *testing.T, e *behaviours.Env) {
	const half, many = 10, 14
	pods, with := onNoNode(t, e, many)
	if len(with) != half {
		t.Errorf("%d pods have addresses, want %d", len(with), half)
	}
	other := behaviours.NewPod("node-unknown-others", "other", behaviours.FromPools([]string{nodeUnknownPool}, nil))
	e.Create(t, other)
	e.AwaitRecord(t, nodeUnknownPool, func(r *allocator.Record) error { // the other one alone is settled, and was seen last
		if c := r.Counts(); c.Settled != 1 || c.Reserved != half {
			return fmt.Errorf("%s, want 1 settled, %d reserved", c, half)
		}
		return nil
	})

	collected(t, e, with)
	e.AwaitTaken(t, nodeUnknownPool, 1)
	for _, pod := range with {
		e.AwaitPod(t, pod, func(p *corev1.Pod) error {
			if want := fmt.Sprintf("its node %q is gone", neverWas); p.Annotations[crdv1.AnnotationEnded] != want {
				return fmt.Errorf("pod %s: annotation %s is %q, want %q", p.Name, crdv1.AnnotationEnded, p.Annotations[crdv1.AnnotationEnded], want)
			}
			return nil
		})
	}

	kubelet := e.PretendNode(t, neverWas)
	goesOnNever(t, e, with[0])
	next := behaviours.NewPod("node-unknown-others", "next", behaviours.FromPools([]string{nodeUnknownPool}, nil))
	e.Create(t, next)
	kubelet.Run(t, next)
	e.AwaitTaken(t, nodeUnknownPool, 2)

	letGo(t, e, pods)
	if err := e.Client.Delete(t.Context(), next); err != nil {
		t.Error(err)
	}
	kubelet.End(t, next)
	e.DeleteAll(t, "node-unknown-others")
	e.AwaitTaken(t, nodeUnknownPool, 0)
}

// onNoNode makes many pods that stay, on a node that never was, and deletes them by force. It
// returns them, and those that were given addresses; the others are told why not.
func onNoNode(t *testing.T, e *behaviours.Env, many int) (pods, with []*corev1.Pod) {
	t.Helper()
	pods = make([]*corev1.Pod, many)
	for i := range pods {
		pods[i] = behaviours.NewPod("node-unknown", fmt.Sprintf("p%d", i), behaviours.FromPools([]string{nodeUnknownPool}, nil))
		pods[i].Spec.NodeName = neverWas
		pods[i].Finalizers = []string{staying}
	}
	behaviours.AtOnce(many, func(i int) {
		if err := e.Client.Create(t.Context(), pods[i]); err != nil {
			t.Errorf("creating pod %s: %v", pods[i].Name, err)
		}
	})
	for _, pod := range pods {
		if _, ok := pod.Annotations[crdv1.AnnotationReservation]; ok {
			with = append(with, pod)
			continue
		}
		e.AwaitReason(t, pod, crdv1.ReasonNodeUnknown)
	}
	for _, pod := range pods {
		e.DeleteByForce(t, pod)
	}
	return pods, with
}

// letGo removes the finalizers.
func letGo(t *testing.T, e *behaviours.Env, pods []*corev1.Pod) {
	t.Helper()
	for _, pod := range pods {
		e.Pod(t, pod)
		before := pod.DeepCopy()
		pod.Finalizers = nil
		if err := e.Client.Patch(t.Context(), pod, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
		e.AwaitGone(t, pod)
	}
}

// collected does what the pod garbage collector does with pods of nodes that are gone; the real
// one, which comes a minute later, may be faster.
func collected(t *testing.T, e *behaviours.Env, pods []*corev1.Pod) {
	t.Helper()
	collector := e.AsServiceAccount(t, "kube-system", "pod-garbage-collector")
	for _, pod := range pods {
		if err := say(t, e, collector, pod, func(s *corev1.PodStatus) {
			s.Phase = corev1.PodFailed
			s.Conditions = append(s.Conditions, corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC", LastTransitionTime: metav1.Now(),
			})
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// goesOnNever tries to bring back a pod that has ended with its node.
func goesOnNever(t *testing.T, e *behaviours.Env, pod *corev1.Pod) {
	t.Helper()
	const want = `ValidatingAdmissionPolicy 'spiderpool-pod-ends' with binding 'spiderpool-pod-ends' denied request: ` +
		`the pod has ended with its node and its address may be another's by now, so it cannot go on; make it again`
	err := say(t, e, e.Client, pod, func(s *corev1.PodStatus) { s.Phase = corev1.PodRunning })
	if got := fmt.Sprint(err); got != fmt.Sprintf("pods %q is forbidden: %s", pod.Name, want) {
		t.Errorf("answer is\n  %s\nwant\n  … %s", got, want)
	}
}
