package check

import (
	"fmt"
	"testing"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestWhatAPodCarriesIsRecordedForIt(t *testing.T) {
	t.Parallel()
	expect(t, faults{
		"a claim in a pool that does not exist": {
			func(s *Snapshot) { s.Pods = append(s.Pods, pod("lost", tokenA, assigned("red", "10.9.0.1"))) },
			[]Violation{{RuleRecorded, "pod shop/lost", `carries 10.9.0.1 of pool "red", which does not exist`, false, 0}},
		},
		"a claim that is free in its pool": {
			func(s *Snapshot) { s.Pods = append(s.Pods, pod("lost", tokenA, assigned("blue", "10.0.0.9"))) },
			[]Violation{{RuleRecorded, "pod shop/lost", `carries 10.0.0.9 of pool "blue", where it is free`, false, 0}},
		},
		"a claim that is free in a pool that is not Ready": {
			func(s *Snapshot) {
				s.Pools[1].Status.Conditions = nil
				s.Pods = append(s.Pods, pod("early", tokenA, assigned("green", "10.0.1.1")))
			},
			[]Violation{{RuleRecorded, "pod shop/early", `carries 10.0.1.1 of pool "green", where it is free`, true, 0}},
		},
		"a claim that is held": {
			func(s *Snapshot) { s.Pods = append(s.Pods, pod("lost", tokenA, assigned("blue", "10.0.0.4"))) },
			[]Violation{{
				RuleRecorded, "pod shop/lost",
				`carries 10.0.0.4 of pool "blue", where it is held for node node1 since 2026-11-23T10:00:00Z`, false, 0,
			}},
		},
		"a claim reserved for another token": {
			func(s *Snapshot) { s.Pods[reserved].Annotations[crdv1.AnnotationReservation] = tokenA },
			[]Violation{{
				RuleRecorded, "pod shop/reserved",
				fmt.Sprintf(`carries 10.0.0.2 of pool "blue", where it is reserved for token %s in namespace shop`, tokenB), false, 0,
			}},
		},
		"a claim retained for another pod": {
			func(s *Snapshot) { s.Pods[inUse].Name = "db-7" },
			[]Violation{{RuleRecorded, "pod shop/db-7", `carries 10.0.0.3 of pool "blue", where it is retained for pod shop/db-0`, false, 0}},
		},
	})
}

func TestWhatAPodCarriesIsRetainedOrBoundLateForIt(t *testing.T) {
	t.Parallel()
	expect(t, faults{
		"a pod that carries one pending admission of another token": {
			func(s *Snapshot) { s.Pods[pendingAdmission].Annotations[crdv1.AnnotationReservation] = tokenA },
			[]Violation{{
				RuleRecorded, "pod shop/db-1",
				`carries 10.0.0.5 of pool "blue", where it is pending admission for token ` + tokenC + " in namespace shop", false, 0,
			}},
		},
		"a pod that carries one that is unassigned": {
			func(s *Snapshot) { s.Pods = append(s.Pods, pod("db-2", tokenA, assigned("blue", "10.0.0.6"))) },
			[]Violation{{
				RuleRecorded, "pod shop/db-2", `carries 10.0.0.6 of pool "blue", where it is retained for the pod, and unassigned`, false, 0,
			}},
		},
		"a pod that carries one that is held": {
			func(s *Snapshot) { s.Pods = append(s.Pods, pod("db-9", tokenA, assigned("blue", "10.0.0.7"))) },
			[]Violation{{
				RuleRecorded, "pod shop/db-9",
				`carries 10.0.0.7 of pool "blue", where it is held for node node1 since 2026-11-23T10:00:00Z`, false, 0,
			}},
		},
		"a pod that carries what another uses": {
			func(s *Snapshot) { s.Pods[inUse].Namespace = "shop2" },
			[]Violation{
				{RuleRecorded, "pod shop2/db-0", `carries 10.0.0.3 of pool "blue", where it is retained for pod shop/db-0`, false, 0},
			},
		},
		"a pod that was bound late": {
			func(s *Snapshot) {
				s.Pools[0].Status.Reserved = []string{"10.0.0.2 " + tokenA + " shop/reserved reserved-uid"}
			}, nil,
		},
		"a pod that carries what another is bound late with": {
			func(s *Snapshot) {
				s.Pools[0].Status.Reserved = []string{"10.0.0.2 " + tokenA + " shop/other other-uid"}
			},
			[]Violation{{
				RuleRecorded, "pod shop/reserved",
				`carries 10.0.0.2 of pool "blue", where it is reserved for token ` + tokenA + " in namespace shop", false, 0,
			}},
		},
	})
}

func TestAPodMayHaveSeveralAddressesOfOnePool(t *testing.T) {
	t.Parallel()
	second := assigned("blue", "10.0.0.8")
	second.Interface = "net1"
	expect(t, faults{
		"reserved with one token": {
			func(s *Snapshot) {
				s.Pods[reserved] = pod("reserved", tokenB, assigned("blue", "10.0.0.2"), second)
				s.Pools[0].Status.Reserved = append(s.Pools[0].Status.Reserved, "10.0.0.8 "+tokenB+" shop")
				s.Pools[0].Status.AllocatedIPCount = new(int64(8))
			}, nil,
		},
		"reserved with one token, and only one of them is carried": {
			func(s *Snapshot) {
				s.Pools[0].Status.Reserved = append(s.Pools[0].Status.Reserved, "10.0.0.8 "+tokenB+" shop")
				s.Pools[0].Status.AllocatedIPCount = new(int64(8))
			},
			[]Violation{{
				RuleLeak, `pool "blue"`,
				"10.0.0.8 is reserved for token " + tokenB + " in namespace shop, and no live pod carries it", true, 0,
			}},
		},
		"reserved, and only one of those carried": {
			func(s *Snapshot) {
				s.Pods[reserved] = pod("reserved", tokenB, assigned("blue", "10.0.0.2"), second)
			},
			[]Violation{{RuleRecorded, "pod shop/reserved", `carries 10.0.0.8 of pool "blue", where it is free`, false, 0}},
		},
		"settled": {
			func(s *Snapshot) {
				s.Pods[bare] = pod("bare", tokenA, assigned("blue", "10.0.0.8"), crdv1.Assigned{Interface: "net1", IPv4Pool: "blue", IPv4: "10.0.0.9/16"})
				s.Pools[0].Status.Settled = []string{"10.0.0.1,8-9"}
				s.Pools[0].Status.AllocatedIPCount = new(int64(9))
			}, nil,
		},
	})
}
