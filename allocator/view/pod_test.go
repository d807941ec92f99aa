package view

import (
	"math"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
