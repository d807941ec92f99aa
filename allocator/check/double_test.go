package check

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestDoublesAreFound(t *testing.T) {
	t.Parallel()
	expect(t, faults{
		"two live pods with one address": {
			func(s *Snapshot) {
				s.Pods = append(s.Pods, pod("thief", tokenA, assigned("blue", "10.0.0.1")))
			},
			[]Violation{{RuleDouble, "address 10.0.0.1", "pods shop/settled (settled-uid) and shop/thief (thief-uid) carry it", false, 0}},
		},
		"a terminal phase with a container that still runs": {
			func(s *Snapshot) {
				s.Pods[finished].Status.ContainerStatuses = []corev1.ContainerStatus{
					{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
				}
			},
			[]Violation{{RuleDouble, "address 10.0.0.1", "pods shop/settled (settled-uid) and shop/finished (finished-uid) carry it", false, 0}},
		},
	})
}
