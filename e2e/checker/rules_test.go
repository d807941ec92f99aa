package checker

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func leak(detail string, patience time.Duration) []Violation {
	return []Violation{{RuleLeak, `pool "blue"`, detail, true, patience}}
}

// db is the StatefulSet of good.
var db = allocator.Identity{Namespace: "shop", Group: "apps", Kind: "StatefulSet", Name: "db"}

// expect has each fault found, and nothing else.
func expect(t *testing.T, tests map[string]struct {
	fault func(*Snapshot)
	want  []Violation
}) {
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := good()
			tc.fault(&s)
			if diff := cmp.Diff(tc.want, Violations(s)); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRetainedAddressesNeedTheirOwner(t *testing.T) {
	t.Parallel()
	const sts, promised = 3, 5 // indices of good().Pods
	expect(t, map[string]struct {
		fault func(*Snapshot)
		want  []Violation
	}{
		"a vacant one whose owner is gone": {
			func(s *Snapshot) { s.Owners = nil },
			leak("10.0.0.6 is retained for pod shop/db-2, and StatefulSet db does not exist", 0),
		},
		"a vacant one whose owner does not cover it": {
			func(s *Snapshot) { s.Owners = Owners{db: {Below: 2}} },
			leak("10.0.0.6 is retained for pod shop/db-2, and StatefulSet db has ordinals from 0 to 1 only", 0),
		},
		"a vacant one before those of its owner": {
			func(s *Snapshot) { s.Owners = Owners{db: {From: 3, Below: 5}} },
			leak("10.0.0.6 is retained for pod shop/db-2, and StatefulSet db has ordinals from 3 to 4 only", 0),
		},
		"a vacant one whose owner does not tell": {func(s *Snapshot) { s.Owners = Owners{db: {All: true}} }, nil},
		"one in use without a live pod": {
			func(s *Snapshot) { s.Pods[sts].Status.Phase = corev1.PodSucceeded },
			leak("10.0.0.3 is in use by pod shop/db-0 and no live pod carries it", 0),
		},
		"one promised without a live pod": {
			func(s *Snapshot) { s.Pods[promised].Status.Phase = corev1.PodFailed },
			leak("10.0.0.5 is promised for token "+tokenC+" in namespace shop, and no live pod carries it", 0),
		},
		"a pod that carries one promised to another token": {
			func(s *Snapshot) { s.Pods[promised].Annotations[crdv1.AnnotationReservation] = tokenA },
			[]Violation{{
				RuleRecorded, "pod shop/db-1",
				`carries 10.0.0.5 of pool "blue", where it is promised for token ` + tokenC + " in namespace shop", false, 0,
			}},
		},
		"a pod that carries one that is vacant": {
			func(s *Snapshot) { s.Pods = append(s.Pods, pod("db-2", tokenA, assigned("blue", "10.0.0.6"))) },
			[]Violation{{
				RuleRecorded, "pod shop/db-2", `carries 10.0.0.6 of pool "blue", where it is retained for the pod, and vacant`, false, 0,
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
			func(s *Snapshot) { s.Pods[sts].Namespace = "shop2" },
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

func TestHoldsEndWhenTheirNodeAllowsIt(t *testing.T) {
	t.Parallel()
	const settled, wait = 0, 90 * time.Second
	both := func(why string, patience time.Duration) []Violation {
		return append(leak("10.0.0.4 is held since 2026-11-23T10:00:00Z, and "+why, patience),
			leak("10.0.0.7 is held since 2026-11-23T10:00:00Z, and "+why, patience)...)
	}
	hold := func(text string) func(*Snapshot) {
		return func(s *Snapshot) { s.Pools[0].Status.Held = []string{"10.0.0.4 " + text} }
	}
	expect(t, map[string]struct {
		fault func(*Snapshot)
		want  []Violation
	}{
		"its node is gone": {func(s *Snapshot) { s.Nodes = nil }, both("node node1 is gone", 0)},
		"its node is out of service": {
			func(s *Snapshot) { s.Nodes[0].Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeOutOfService}} },
			both("node node1 is out of service", 0),
		},
		"its node is Ready":                    {func(s *Snapshot) { s.Nodes[0] = node("node1", corev1.ConditionTrue) }, both("node node1 is Ready", wait)},
		"its node is not heard of":             {func(s *Snapshot) { s.Nodes[0] = node("node1", corev1.ConditionUnknown) }, nil},
		"its node is not known and one is not": {hold("- 2026-11-23T10:00:00Z"), nil},
		"its node is not known and all are Ready": {
			func(s *Snapshot) {
				hold("- 2026-11-23T10:00:00Z")(s)
				s.Nodes[0] = node("node1", corev1.ConditionTrue)
			},
			append(leak("10.0.0.4 is held since 2026-11-23T10:00:00Z, and all nodes are Ready", wait),
				leak("10.0.0.7 is held since 2026-11-23T10:00:00Z, and node node1 is Ready", wait)...),
		},
		"its pod had a longer grace": {
			func(s *Snapshot) {
				hold("node2 2026-11-23T10:00:00Z 100s")(s)
				s.Nodes = append(s.Nodes, node("node2", corev1.ConditionTrue))
			},
			leak("10.0.0.4 is held since 2026-11-23T10:00:00Z, and node node2 is Ready", 160*time.Second),
		},
		"its pod had a grace that nobody waits for": {
			func(s *Snapshot) {
				hold("node2 2026-11-23T10:00:00Z 3600s")(s)
				s.Nodes = append(s.Nodes, node("node2", corev1.ConditionTrue))
			}, nil,
		},
	})
}

func TestNobodyElseUsesWhatAPodCarries(t *testing.T) {
	t.Parallel()
	foreign := func(ip string, change ...func(*corev1.Pod)) func(*Snapshot) {
		return func(s *Snapshot) {
			p := pod("foreign", "")
			p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: ip}}}
			for _, f := range change {
				f(&p)
			}
			s.Pods = append(s.Pods, p)
		}
	}
	expect(t, map[string]struct {
		fault func(*Snapshot)
		want  []Violation
	}{
		"a pod of somebody else does": {
			foreign("10.0.0.2"),
			[]Violation{{
				RuleForeign, "pod shop/reserved", "carries 10.0.0.2, and pod shop/foreign (foreign-uid) runs with it and does not claim it", false, 0,
			}},
		},
		"a pod of somebody else says so in other words": {
			foreign("::ffff:10.0.0.2"),
			[]Violation{{
				RuleForeign, "pod shop/reserved", "carries 10.0.0.2, and pod shop/foreign (foreign-uid) runs with it and does not claim it", false, 0,
			}},
		},
		"a pod of somebody else runs with another": {foreign("10.0.0.9"), nil},
		"a pod on a node's network":                {foreign("10.0.0.2", func(p *corev1.Pod) { p.Spec.HostNetwork = true }), nil},
		"a pod that has finished":                  {foreign("10.0.0.2", func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), nil},
		"a node does": {
			func(s *Snapshot) { s.Nodes[0].Status.Addresses[1].Address = "10.0.0.2" },
			[]Violation{{RuleForeign, "pod shop/reserved", "carries 10.0.0.2, and it is an address of node node1", false, 0}},
		},
	})
}

func TestAPodSaysWhetherItWaits(t *testing.T) {
	t.Parallel()
	const reserved, none, late = 2, 4, 6 // indices of good().Pods
	says := func(status corev1.ConditionStatus) []corev1.PodCondition {
		return []corev1.PodCondition{{Type: crdv1.ConditionAddressAssigned, Status: status}}
	}
	expect(t, map[string]struct {
		fault func(*Snapshot)
		want  []Violation
	}{
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
		"it carries none and says that it does": {
			func(s *Snapshot) { s.Pods[none].Status.Conditions = says(corev1.ConditionTrue) },
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
		"of whose containers nothing is known": {collected(), true},
		"whose containers ended": {collected(func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
		}), false},
		"that never had a node":                {collected(func(p *corev1.Pod) { p.Spec.NodeName = "" }), false},
		"that somebody else says is disrupted": {collected(func(p *corev1.Pod) { p.Status.Conditions[0].Reason = "EvictionByEvictionAPI" }), false},
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

func TestAnOwnerCoversStartReplicasAndReservedOrdinals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		kind string
		spec map[string]any
		want Covered
	}{
		"replicas":              {"StatefulSet", map[string]any{"replicas": int64(3)}, Covered{Below: 3}},
		"none named":            {"StatefulSet", map[string]any{}, Covered{Below: 1}},
		"none wanted":           {"StatefulSet", map[string]any{"replicas": int64(0)}, Covered{}},
		"a start":               {"StatefulSet", map[string]any{"replicas": int64(3), "ordinals": map[string]any{"start": int64(5)}}, Covered{From: 5, Below: 8}},
		"reserved numbers":      {"StatefulSet", map[string]any{"replicas": int64(2), "reserveOrdinals": []any{int64(0), int64(7)}}, Covered{Below: 4}},
		"a reserved range":      {"StatefulSet", map[string]any{"replicas": int64(2), "reserveOrdinals": []any{"3-5", int64(0)}}, Covered{Below: 6}},
		"a range of nonsense":   {"StatefulSet", map[string]any{"replicas": int64(2), "reserveOrdinals": []any{"5-3", "x"}}, Covered{Below: 4}},
		"another kind, counted": {"GameServerSet", map[string]any{"replicas": int64(2)}, Covered{Below: 2}},
		"another kind":          {"GameServerSet", map[string]any{}, Covered{All: true}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &unstructured.Unstructured{Object: map[string]any{"kind": tc.kind, "spec": tc.spec}}
			if got := coveredBy(o); got != tc.want {
				t.Errorf("covers %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestWatchFindsAPodThatRunsWithWhatAnotherCarries(t *testing.T) {
	t.Parallel()
	one, other := pod("one", tokenA, assigned("blue", "10.0.0.1")), pod("other", "")
	d := newDoubles()
	d.see(&one)
	d.see(&other)
	one.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.1"}}
	d.see(&one) // what it carries it may run with
	other.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.1"}}
	d.see(&other)
	if len(d.found) != 1 || d.found[0].Rule != RuleDouble {
		t.Errorf("found %v, want one double", d.found)
	}
}
