package view

import (
	"maps"
	"math"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestFinished(t *testing.T) {
	t.Parallel()
	running := []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	ended := []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
	starting := []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}}
	collected := []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC"}}
	for name, c := range map[string]struct {
		status corev1.PodStatus
		want   bool
	}{
		"failed by the pod garbage collector, starting":            {corev1.PodStatus{Phase: corev1.PodFailed, Conditions: collected, ContainerStatuses: starting}, false},
		"failed by the pod garbage collector, no container status": {corev1.PodStatus{Phase: corev1.PodFailed, Conditions: collected}, false},
		"failed by the pod garbage collector, ended":               {corev1.PodStatus{Phase: corev1.PodFailed, Conditions: collected, ContainerStatuses: ended}, true},
		"running":                                      {corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: running}, false},
		"pending":                                      {corev1.PodStatus{Phase: corev1.PodPending}, false},
		"unknown":                                      {corev1.PodStatus{Phase: corev1.PodUnknown}, false},
		"succeeded with all containers ended":          {corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: ended}, true},
		"failed with all containers ended":             {corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: ended, InitContainerStatuses: ended}, true},
		"refused by the kubelet, no container":         {corev1.PodStatus{Phase: corev1.PodFailed}, true},
		"a phase written over a running container":     {corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: running}, false},
		"succeeded with a sidecar that still runs":     {corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: ended, InitContainerStatuses: running}, false},
		"succeeded with a debug container that runs":   {corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: ended, EphemeralContainerStatuses: running}, false},
		"one of two containers ended, phase is failed": {corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: append(ended, running...)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := corev1.Pod{Spec: corev1.PodSpec{NodeName: "node", Containers: make([]corev1.Container, 1)}, Status: c.status}
			if got := Finished(&pod); got != c.want {
				t.Errorf("Finished is %t, want %t", got, c.want)
			}
		})
	}
}

func TestAPodIsKeptAsItIs(t *testing.T) {
	t.Parallel()
	deleted := metav1.Now()
	for name, c := range map[string]struct {
		pod          corev1.Pod
		wantGrace    time.Duration
		wantFinished bool
	}{
		"the default grace is written as nothing": {pod: corev1.Pod{}},
		"a long grace": {pod: corev1.Pod{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: new(int64(3600))}}, wantGrace: time.Hour},
		"a grace beyond the longest duration is a day": {
			pod: corev1.Pod{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: new(int64(math.MaxInt64))}}, wantGrace: 24 * time.Hour,
		},
		"one that overflows": {
			pod: corev1.Pod{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: new(int64(9223372037))}}, wantGrace: 24 * time.Hour,
		},
		"deleted before it had a node, and kept by a finalizer": {pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &deleted}}, wantFinished: true},
		"ended with its node, as the leader has found": {
			pod: corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{crdv1.AnnotationEnded: "its node is gone"}},
				Spec:       corev1.PodSpec{NodeName: "node", Containers: make([]corev1.Container, 1)},
				Status: corev1.PodStatus{
					Phase:             corev1.PodFailed,
					ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}},
				},
			},
			wantFinished: true,
		},
		"deleted while on a node": {
			pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &deleted}, Spec: corev1.PodSpec{NodeName: "node"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.pod.ResourceVersion = "1"
			p, err := NewPod(&c.pod)
			if err != nil {
				t.Fatal(err)
			}
			if p.Grace != c.wantGrace || p.Finished != c.wantFinished || p.Grace < 0 {
				t.Errorf("got grace %s, finished %t, want %s, %t", p.Grace, p.Finished, c.wantGrace, c.wantFinished)
			}
		})
	}
}

func TestWhichPodsMayHaveEndedWithTheirNodes(t *testing.T) {
	t.Parallel()
	claims := map[string]string{
		crdv1.AnnotationReservation: "aaaaaaaaaaaaaaaa", crdv1.AnnotationAssignedPrefix + "eth0": `{"interface":"eth0","ipv4pool":"p","ipv4":"10.0.0.1/24"}`,
	}
	collected := []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: podGC}}
	for name, c := range map[string]struct {
		node, phase string
		change      func(*corev1.Pod)
		want        bool
	}{
		"failed by the pod garbage collector": {node: "node", phase: "Failed", want: true},
		"succeeded by somebody's word":        {node: "node", phase: "Succeeded", want: true},
		"running":                             {node: "node", phase: "Running"},
		"failed without a node":               {phase: "Failed"},
		"failed without an address":           {node: "node", phase: "Failed", change: func(p *corev1.Pod) { p.Annotations = nil }},
		"known to have ended": {node: "node", phase: "Failed", change: func(p *corev1.Pod) {
			p.Annotations = maps.Clone(claims)
			p.Annotations[crdv1.AnnotationEnded] = "its node is gone"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1", Annotations: claims},
				Spec:       corev1.PodSpec{NodeName: c.node, Containers: make([]corev1.Container, 1)},
				Status:     corev1.PodStatus{Phase: corev1.PodPhase(c.phase), Conditions: collected},
			}
			if c.change != nil {
				c.change(pod)
			}
			p, err := NewPod(pod)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.MayBeLost(); got != c.want {
				t.Errorf("it is %t, want %t", got, c.want)
			}
		})
	}
}
