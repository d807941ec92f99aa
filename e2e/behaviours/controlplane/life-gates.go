package controlplane

import (
	_ "embed" // the manifest
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed life-gates.yaml
var lifeGatesManifest []byte

// LifeGates proves: a pod that somebody else gates takes no address until ours is the last gate, in
// whatever order the gates go; our gate is removed last.
var LifeGates = behaviours.Behaviour{ID: "life-gates", Manifest: lifeGatesManifest, Test: lifeGates}

const (
	gatesPool = "life-gates-pool"
	theirGate = "queue.example.com/admission"
	moreGates = "quota.example.com/budget"
)

func lifeGates(t *testing.T, e *behaviours.Env) {
	for name, gates := range map[string]struct {
		come []string // with which the pod is created
		goes []string // those of others, and maybe ours, in the order in which they are removed
	}{
		"one":          {[]string{theirGate}, []string{theirGate}},
		"two":          {[]string{theirGate, moreGates}, []string{theirGate, moreGates}},
		"two-reversed": {[]string{theirGate, moreGates}, []string{moreGates, theirGate}},
		"ours-among":   {[]string{theirGate, crdv1.GateWaitingForAddress, moreGates}, []string{theirGate, moreGates}},
		"ours-first":   {[]string{theirGate}, []string{crdv1.GateWaitingForAddress, theirGate}},
		"ours-alone":   {[]string{crdv1.GateWaitingForAddress}, nil},
	} {
		pod := behaviours.NewPod("life-gates", name, behaviours.FromPools([]string{gatesPool}, nil))
		for _, gate := range gates.come {
			pod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: gate})
		}
		t.Run(name, func(t *testing.T) { gatesGo(t, e, pod, gates.goes) })
	}
}

func gatesGo(t *testing.T, e *behaviours.Env, pod *corev1.Pod, gates []string) {
	e.CreateWaiting(t, pod)
	for _, gate := range gates {
		e.AwaitReason(t, pod, crdv1.ReasonForeignGate)
		if taken := *e.Pool(t, gatesPool).Status.AllocatedIPCount; taken != 0 {
			t.Errorf("%d addresses are taken for a pod that is gated by %q", taken, gateNames(pod))
		}
		ungate(t, e, pod, gate)
		theirs := slices.ContainsFunc(gateNames(pod), func(name string) bool { return name != crdv1.GateWaitingForAddress })
		if err := behaviours.CarriesNothing(pod); theirs && err != nil {
			t.Errorf("when gate %s was gone and others were not: %v", gate, err)
		}
	}
	e.AwaitAssigned(t, pod)
	if left := gateNames(pod); len(left) > 0 {
		t.Errorf("the pod has its address and the gates %q", left)
	}
	e.AwaitSaysAssigned(t, pod)
	if err := e.Client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	e.AwaitTaken(t, gatesPool, 0)
}

func gateNames(pod *corev1.Pod) []string {
	var names []string
	for _, g := range pod.Spec.SchedulingGates {
		names = append(names, g.Name)
	}
	return names
}

// ungate removes one gate, as whoever set it does.
func ungate(t *testing.T, e *behaviours.Env, pod *corev1.Pod, gate string) {
	t.Helper()
	before := e.Pod(t, pod).DeepCopy()
	pod.Spec.SchedulingGates = slices.DeleteFunc(pod.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool { return g.Name == gate })
	if len(pod.Spec.SchedulingGates) == len(before.Spec.SchedulingGates) {
		t.Fatalf("pod %s is not gated by %s but by %q", pod.Name, gate, gateNames(pod))
	}
	if err := e.Client.Patch(t.Context(), pod, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}
