package check

import (
	"math"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func leaking(detail string, patience time.Duration) []Violation {
	return []Violation{{RuleLeak, `pool "blue"`, detail, true, patience}}
}

func TestLeaksAreFound(t *testing.T) {
	t.Parallel()
	expect(t, faults{
		"a settled address without a live pod": {
			func(s *Snapshot) { s.Pods, s.Endpoints = s.Pods[1:], nil },
			[]Violation{{RuleLeak, `pool "blue"`, "10.0.0.1 is settled and no live pod carries it", true, 0}},
		},
		"settled addresses without a live pod, but for one": {
			func(s *Snapshot) {
				s.Pools[0].Status.Settled = []string{"10.0.0.0-1,11-14"}
				s.Pools[0].Spec.IPs = []string{"10.0.0.0-10.0.0.20"}
				s.Pools[0].Status.AllocatedIPCount, s.Pools[0].Status.TotalIPCount = new(int64(12)), new(int64(19))
			},
			append(leaking("10.0.0.0 is settled and no live pod carries it", 0),
				leaking("10.0.0.11-10.0.0.14 are settled and no live pod carries them", 0)...),
		},
		"more settled addresses than can be listed one by one": {
			func(s *Snapshot) {
				s.Pools[1].Spec.Subnet, s.Pools[1].Spec.IPs = "fc00::/64", []string{"fc00::-fc00::ffff:ffff:ffff:ffff"}
				s.Pools[1].Status.TotalIPCount = new(int64(math.MaxInt64))
				s.Pools[1].Status.Settled = []string{"fc00::100-fc00::ff:ffff"}
				s.Pools[1].Status.AllocatedIPCount = new(int64(1<<24 - 256))
			},
			[]Violation{{RuleLeak, `pool "green"`, "fc00::100-fc00::ff:ffff are settled and no live pod carries them", true, 0}},
		},
		"a reserved address without a live pod": {
			func(s *Snapshot) { s.Pods = append(s.Pods[:reserved], s.Pods[reserved+1:]...) },
			[]Violation{{
				RuleLeak, `pool "blue"`,
				"10.0.0.2 is reserved for token " + tokenB + " in namespace shop, and no live pod carries it", true, 0,
			}},
		},
		"the same address claimed in another pool": {
			func(s *Snapshot) {
				s.Pools[1].Status.Settled = []string{"10.0.1.1"}
				s.Pools[1].Status.AllocatedIPCount = new(int64(1))
			},
			[]Violation{{RuleLeak, `pool "green"`, "10.0.1.1 is settled and no live pod carries it", true, 0}},
		},
	})
}

func TestRetainedAddressesNeedTheirOwner(t *testing.T) {
	t.Parallel()
	expect(t, faults{
		"an unassigned one with an owner that is gone": {
			func(s *Snapshot) { s.Owners = nil },
			leaking("10.0.0.6 is retained for pod shop/db-2, and StatefulSet db does not exist", 0),
		},
		"an unassigned one with an owner that does not cover it": {
			func(s *Snapshot) { s.Owners = Owners{db: {Below: 2}} },
			leaking("10.0.0.6 is retained for pod shop/db-2, and StatefulSet db has ordinals from 0 to 1 only", 0),
		},
		"an unassigned one before those of its owner": {
			func(s *Snapshot) { s.Owners = Owners{db: {From: 3, Below: 5}} },
			leaking("10.0.0.6 is retained for pod shop/db-2, and StatefulSet db has ordinals from 3 to 4 only", 0),
		},
		"an unassigned one with an owner that is not understood": {func(s *Snapshot) { s.Owners = Owners{db: {All: true}} }, nil},
		"one in use without a live pod": {
			func(s *Snapshot) { s.Pods[inUse].Status.Phase = corev1.PodSucceeded },
			leaking("10.0.0.3 is in use by pod shop/db-0 and no live pod carries it", 0),
		},
		"one pending admission without a live pod": {
			func(s *Snapshot) { s.Pods[pendingAdmission].Status.Phase = corev1.PodFailed },
			leaking("10.0.0.5 is pending admission for token "+tokenC+" in namespace shop, and no live pod carries it", 0),
		},
	})
}

func TestHoldsEndWhenTheirNodeAllowsIt(t *testing.T) {
	t.Parallel()
	const wait = 90 * time.Second
	both := func(why string, patience time.Duration) []Violation {
		return append(leaking("10.0.0.4 is held since 2026-11-23T10:00:00Z, and "+why, patience),
			leaking("10.0.0.7 is held since 2026-11-23T10:00:00Z, and "+why, patience)...)
	}
	hold := func(text string) func(*Snapshot) {
		return func(s *Snapshot) { s.Pools[0].Status.Held = []string{"10.0.0.4 " + text} }
	}
	expect(t, faults{
		"its node is gone": {func(s *Snapshot) { s.Nodes = nil }, both("node node1 is gone", 0)},
		"its node is out of service": {
			func(s *Snapshot) { s.Nodes[0].Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeOutOfService}} },
			both("node node1 is out of service", 0),
		},
		"its node is Ready":                        {func(s *Snapshot) { s.Nodes[0] = node("node1", corev1.ConditionTrue) }, both("node node1 is Ready", wait)},
		"its node is not Ready":                    {func(s *Snapshot) { s.Nodes[0] = node("node1", corev1.ConditionUnknown) }, nil},
		"its node is unknown and one is not Ready": {hold("- 2026-11-23T10:00:00Z"), nil},
		"its node is unknown and all are Ready": {
			func(s *Snapshot) {
				hold("- 2026-11-23T10:00:00Z")(s)
				s.Nodes[0] = node("node1", corev1.ConditionTrue)
			},
			append(leaking("10.0.0.4 is held since 2026-11-23T10:00:00Z, and all nodes are Ready", wait),
				leaking("10.0.0.7 is held since 2026-11-23T10:00:00Z, and node node1 is Ready", wait)...),
		},
		"its pod had a longer grace": {
			func(s *Snapshot) {
				hold("node2 2026-11-23T10:00:00Z 100s")(s)
				s.Nodes = append(s.Nodes, node("node2", corev1.ConditionTrue))
			},
			leaking("10.0.0.4 is held since 2026-11-23T10:00:00Z, and node node2 is Ready", 160*time.Second),
		},
		"its pod had a grace that is too long to wait for": {
			func(s *Snapshot) {
				hold("node2 2026-11-23T10:00:00Z 3600s")(s)
				s.Nodes = append(s.Nodes, node("node2", corev1.ConditionTrue))
			}, nil,
		},
	})
}
