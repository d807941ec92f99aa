package check

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestAPodRunsWithWhatItSays(t *testing.T) {
	t.Parallel()
	expect(t, faults{
		"an annotation that cannot be read": {
			func(s *Snapshot) {
				s.Pods[bare].Annotations[crdv1.AnnotationAssignedPrefix+"eth0"] = `{"interface":"eth1"}`
			},
			[]Violation{{RulePod, "pod shop/none", `annotation ipam.spidernet.io/assigned-eth0: interface is "eth1"`, false, 0}},
		},
		"a pod that runs with another address": {
			func(s *Snapshot) { s.Pods[settled].Status.PodIPs[0].IP = "10.7.7.7" },
			[]Violation{{RulePod, "pod shop/settled", "runs with 10.7.7.7, which annotation ipam.spidernet.io/assigned-eth0 does not say", false, 0}},
		},
	})
}

func TestAPodSaysWhetherItWaits(t *testing.T) {
	t.Parallel()
	says := func(status corev1.ConditionStatus) []corev1.PodCondition {
		return []corev1.PodCondition{{Type: crdv1.ConditionAddressAssigned, Status: status}}
	}
	expect(t, faults{
		"it carries addresses and is gated": {
			func(s *Snapshot) { s.Pods[reserved].Spec.SchedulingGates = s.Pods[late].Spec.SchedulingGates },
			[]Violation{{RulePod, "pod shop/reserved", "carries addresses and has the gate of those that wait for one", false, 0}},
		},
		"it carries addresses and says that it has none": {
			func(s *Snapshot) { s.Pods[reserved].Status.Conditions = says(corev1.ConditionFalse) },
			[]Violation{{RulePod, "pod shop/reserved", "carries addresses and its condition says that it has none", true, 0}},
		},
		"it carries addresses and says so": {func(s *Snapshot) { s.Pods[reserved].Status.Conditions = says(corev1.ConditionTrue) }, nil},
		"it carries addresses and is gated by another": {
			func(s *Snapshot) {
				s.Pods[reserved].Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/another"}}
			}, nil,
		},
		"it carries no address and says that it does": {
			func(s *Snapshot) { s.Pods[bare].Status.Conditions = says(corev1.ConditionTrue) },
			[]Violation{{RulePod, "pod shop/none", "carries no address and its condition says that it does", false, 0}},
		},
		"it waits and does not say why": {
			func(s *Snapshot) { s.Pods[late].Status.Conditions = nil },
			[]Violation{{RulePod, "pod shop/late", "waits for an address and its condition does not say why", true, 0}},
		},
	})
}

func TestWhatTheGarbageCollectorWritesDoesNotFinishAPod(t *testing.T) {
	t.Parallel()
	collected := func(change ...func(*corev1.Pod)) *corev1.Pod {
		p := pod("p", "")
		p.Spec.NodeName, p.Spec.Containers = "node1", []corev1.Container{{Name: "main"}}
		p.Status.Phase = corev1.PodFailed
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC"}}
		for _, f := range change {
			f(&p)
		}
		return &p
	}
	tests := map[string]struct {
		pod  *corev1.Pod
		live bool
	}{
		"with containers that are unknown": {collected(), true},
		"with containers that ended": {collected(func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
		}), false},
		"that never had a node":        {collected(func(p *corev1.Pod) { p.Spec.NodeName = "" }), false},
		"disrupted for another reason": {collected(func(p *corev1.Pod) { p.Status.Conditions[0].Reason = "EvictionByEvictionAPI" }), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := live(tc.pod); got != tc.live {
				t.Errorf("live is %v, want %v", got, tc.live)
			}
		})
	}
}
