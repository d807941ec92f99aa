package checker

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

const (
	tokenA = "aaaaaaaaaaaaaaaa"
	tokenB = "bbbbbbbbbbbbbbbb"
	tokenC = "cccccccccccccccc"
)

// good is a story without a fault: a settled pod with its endpoint, a reserved
// one that has no node yet, a StatefulSet with an address in use, one promised,
// one vacant and one held, a held address, a pod that waits, a finished pod.
func good() Snapshot {
	blue := readyPool("blue", "10.0.0.1-10.0.0.20")
	blue.Spec.ExcludeIPs = []string{"10.0.0.20"}
	blue.Spec.Gateway = new("10.0.0.10")
	blue.Status.Settled = []string{"10.0.0.1"}
	blue.Status.Reserved = []string{"10.0.0.2 " + tokenB + " shop"}
	blue.Status.Retained = []string{
		"shop/StatefulSet.apps/db -: -0=10.0.0.3* -1=10.0.0.5+" + tokenC + " -2=10.0.0.6 -9=10.0.0.7@node1@2026-11-23T10:00:00Z",
	}
	blue.Status.Held = []string{"10.0.0.4 node1 2026-11-23T10:00:00Z"}
	blue.Status.AllocatedIPCount = new(int64(7))
	blue.Status.TotalIPCount = new(int64(18))

	settled := pod("settled", tokenA, assigned("blue", "10.0.0.1"))
	settled.Spec.NodeName = "node1"
	settled.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}}
	finished := pod("finished", "eeeeeeeeeeeeeeee", assigned("blue", "10.0.0.1"))
	finished.Status.Phase = corev1.PodSucceeded
	return Snapshot{
		Pods: []corev1.Pod{
			settled, finished,
			pod("reserved", tokenB, assigned("blue", "10.0.0.2")),
			pod("db-0", "dddddddddddddddd", assigned("blue", "10.0.0.3")),
			pod("none", ""),
			pod("db-1", tokenC, assigned("blue", "10.0.0.5")),
			waiting("late"),
		},
		Pools: []crdv1.SpiderIPPool{blue, readyPool("green", "10.0.1.1-10.0.1.4")},
		Endpoints: []crdv1.SpiderEndpoint{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "settled"},
			Status: crdv1.EndpointStatus{Current: &crdv1.EndpointAllocation{
				UID: "settled-uid", Node: "node1", IPs: []crdv1.EndpointIP{{Interface: "eth0", IPv4: "10.0.0.1/16", IPv4Pool: "blue"}},
			}},
		}},
		Nodes:  []corev1.Node{node("node1", corev1.ConditionFalse)},
		Owners: Owners{{Namespace: "shop", Group: "apps", Kind: "StatefulSet", Name: "db"}: {Below: 3}},
	}
}

// waiting is a pod that waits for an address and says so.
func waiting(name string) corev1.Pod {
	p := pod(name, "")
	p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: crdv1.GateWaitingForAddress}}
	p.Status.Conditions = []corev1.PodCondition{{Type: crdv1.ConditionAddressAssigned, Status: corev1.ConditionFalse}}
	return p
}

func node(name string, ready corev1.ConditionStatus) corev1.Node {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}
	n.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeHostName, Address: name}, {Type: corev1.NodeInternalIP, Address: "192.168.0.1"},
	}
	return n
}

func readyPool(name, ips string) crdv1.SpiderIPPool {
	return crdv1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       crdv1.IPPoolSpec{Subnet: "10.0.0.0/16", IPs: []string{ips}},
		Status: crdv1.IPPoolStatus{
			TotalIPCount: new(int64(4)),
			Conditions:   []metav1.Condition{{Type: crdv1.ConditionReady, Status: metav1.ConditionTrue}},
		},
	}
}

func assigned(pool, address string) crdv1.Assigned {
	return crdv1.Assigned{Interface: "eth0", IPv4Pool: pool, IPv4: address + "/16"}
}

func pod(name, token string, nics ...crdv1.Assigned) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: types.UID(name + "-uid"), Annotations: map[string]string{},
	}}
	if token != "" {
		p.Annotations[crdv1.AnnotationReservation] = token
	}
	for _, nic := range nics {
		value, err := json.Marshal(nic)
		if err != nil {
			panic(err)
		}
		p.Annotations[crdv1.AnnotationAssignedPrefix+nic.Interface] = string(value)
	}
	return p
}

func TestAStoryWithoutFaultHasNoViolation(t *testing.T) {
	t.Parallel()
	if got := Violations(good()); len(got) != 0 {
		t.Errorf("found:\n%s", Format(got))
	}
}

func TestEachFaultIsFoundAndNothingElse(t *testing.T) {
	t.Parallel()
	const settled, reserved, sts = 0, 2, 3 // indices of good().Pods
	_, unreadable := allocator.Decode(allocator.Encoded{Settled: []string{"nonsense"}})
	tests := map[string]struct {
		fault func(*Snapshot)
		want  []Violation
	}{
		"two live pods with one address": {
			func(s *Snapshot) {
				s.Pods = append(s.Pods, pod("thief", tokenA, assigned("blue", "10.0.0.1")))
			},
			[]Violation{{RuleDouble, "address 10.0.0.1", "pods shop/settled (settled-uid) and shop/thief (thief-uid) carry it", false, 0}},
		},
		"a terminal phase with a container that still runs": {
			func(s *Snapshot) {
				s.Pods[1].Status.ContainerStatuses = []corev1.ContainerStatus{
					{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
				}
			},
			[]Violation{{RuleDouble, "address 10.0.0.1", "pods shop/settled (settled-uid) and shop/finished (finished-uid) carry it", false, 0}},
		},
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
			func(s *Snapshot) { s.Pods[sts].Name = "db-7" },
			[]Violation{{RuleRecorded, "pod shop/db-7", `carries 10.0.0.3 of pool "blue", where it is retained for pod shop/db-0`, false, 0}},
		},
		"a settled address without a live pod": {
			func(s *Snapshot) { s.Pods, s.Endpoints = s.Pods[1:], nil },
			[]Violation{{RuleLeak, `pool "blue"`, "10.0.0.1 is settled and no live pod carries it", true, 0}},
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
		"the gateway is recorded": {
			func(s *Snapshot) {
				s.Pools[0].Spec.Gateway = new("10.0.0.4")
			},
			[]Violation{{RuleForeign, `pool "blue"`, "records 10.0.0.4, which spec does not let it hand out", false, 0}},
		},
		"an allocated counter that is too low": {
			func(s *Snapshot) { s.Pools[0].Status.AllocatedIPCount = new(int64(3)) },
			[]Violation{{RuleCounters, `pool "blue"`, "allocatedIPCount is 3, recorded are 7", false, 0}},
		},
		"a total that is too high": {
			func(s *Snapshot) { s.Pools[0].Status.TotalIPCount = new(int64(20)) },
			[]Violation{{RuleCounters, `pool "blue"`, "totalIPCount is 20, the pool has 18", true, 0}},
		},
		"a record that cannot be read": {
			func(s *Snapshot) { s.Pools[1].Status.Settled = []string{"nonsense"} },
			[]Violation{{RuleCounters, `pool "green"`, unreadable.Error(), false, 0}},
		},
		"two Ready pools that overlap": {
			func(s *Snapshot) { s.Pools[1].Spec.IPs = []string{"10.0.0.19-10.0.0.22"} },
			[]Violation{{RulePools, `pool "blue"`, `Ready, and so is pool "green", which has 10.0.0.19-10.0.0.19 too`, false, 0}},
		},
		"a Ready pool that cannot be read": {
			func(s *Snapshot) {
				s.Pools[1].Spec.IPs, s.Pools[1].Status.TotalIPCount = []string{"10.0.1.9-10.0.1.1"}, nil
			},
			[]Violation{{RulePools, `pool "green"`, "Ready although spec.ips[0]: 10.0.1.9-10.0.1.1: start after end", false, 0}},
		},
		"an annotation that cannot be read": {
			func(s *Snapshot) {
				s.Pods[4].Annotations[crdv1.AnnotationAssignedPrefix+"eth0"] = `{"interface":"eth1"}`
			},
			[]Violation{{RulePod, "pod shop/none", `annotation ipam.spidernet.io/assigned-eth0: interface is "eth1"`, false, 0}},
		},
		"a pod that runs with another address": {
			func(s *Snapshot) { s.Pods[settled].Status.PodIPs[0].IP = "10.7.7.7" },
			[]Violation{{RulePod, "pod shop/settled", "runs with 10.7.7.7, which annotation ipam.spidernet.io/assigned-eth0 does not say", false, 0}},
		},
		"no endpoint": {
			func(s *Snapshot) { s.Endpoints = nil },
			[]Violation{{RuleEndpoint, "endpoint shop/settled", "missing although pod settled-uid carries addresses on node node1", true, 0}},
		},
		"an endpoint without a pod": {
			func(s *Snapshot) {
				s.Endpoints = append(s.Endpoints, crdv1.SpiderEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "gone"}})
			},
			[]Violation{{RuleEndpoint, "endpoint shop/gone", "is there although no live pod has the name", true, 0}},
		},
		"an endpoint of a pod without address": {
			func(s *Snapshot) {
				s.Endpoints = append(s.Endpoints, crdv1.SpiderEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "none"}})
			},
			[]Violation{{RuleEndpoint, "endpoint shop/none", "is there although its pod carries no address", true, 0}},
		},
		"an endpoint that says nothing": {
			func(s *Snapshot) { s.Endpoints[0].Status.Current = nil },
			[]Violation{{RuleEndpoint, "endpoint shop/settled", "says nothing of its pod", true, 0}},
		},
		"an endpoint of an earlier pod": {
			func(s *Snapshot) { s.Endpoints[0].Status.Current.UID = "old" },
			[]Violation{{RuleEndpoint, "endpoint shop/settled", "is of pod old, the pod is settled-uid", true, 0}},
		},
		"an endpoint with another node": {
			func(s *Snapshot) { s.Endpoints[0].Status.Current.Node = "node2" },
			[]Violation{{RuleEndpoint, "endpoint shop/settled", `says node "node2", the pod is on "node1"`, true, 0}},
		},
		"an endpoint with another address": {
			func(s *Snapshot) { s.Endpoints[0].Status.Current.IPs[0].IPv4 = "10.0.0.5/16" },
			[]Violation{{
				RuleEndpoint, "endpoint shop/settled",
				`says ["eth0" "10.0.0.5/16" "blue" "" ""], the pod carries ["eth0" "10.0.0.1/16" "blue" "" ""]`, true, 0,
			}},
		},
		"an endpoint with a NIC less": {
			func(s *Snapshot) { s.Endpoints[0].Status.Current.IPs = nil },
			[]Violation{{RuleEndpoint, "endpoint shop/settled", "has 0 NICs, the pod has 1", true, 0}},
		},
	}
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

func TestWhatMayPassIsFinalOnceItHasStayedTooLong(t *testing.T) {
	t.Parallel()
	leak, double := Violation{Rule: RuleLeak, Passing: true}, Violation{Rule: RuleDouble}
	hold := Violation{Rule: RuleLeak, Passing: true, Patience: time.Minute}
	tests := map[string]struct {
		found  []Violation
		waited time.Duration
		want   bool
	}{
		"a leak at first":               {[]Violation{leak}, time.Second, false},
		"a leak after the time for all": {[]Violation{leak}, 11 * time.Second, true},
		"a hold after the time for all": {[]Violation{hold}, 11 * time.Second, false},
		"a hold after its own time":     {[]Violation{hold}, 71 * time.Second, true},
		"a double, at once":             {[]Violation{leak, double}, 0, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := final(tc.found, tc.waited, 10*time.Second); got != tc.want {
				t.Errorf("final is %v, want %v", got, tc.want)
			}
		})
	}
}

func TestWatchFindsADoubleThatLastsAnInstant(t *testing.T) {
	t.Parallel()
	one, other := pod("one", tokenA, assigned("blue", "10.0.0.1")), pod("other", tokenB, assigned("blue", "10.0.0.1"))
	d := newDoubles()
	d.see(&one)
	d.see(&other)
	d.forget(other.UID)
	if len(d.found) != 1 || d.found[0].Rule != RuleDouble {
		t.Errorf("found %v, want one double", d.found)
	}
}

func TestWatchLetsAnAddressGoOnWithTheEndOfItsPod(t *testing.T) {
	t.Parallel()
	first, second, third := pod("first", tokenA, assigned("blue", "10.0.0.1")), pod("second", tokenB, assigned("blue", "10.0.0.1")),
		pod("third", tokenA, assigned("blue", "10.0.0.1"))
	d := newDoubles()
	d.see(&first)
	first.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} // it still runs
	d.see(&first)
	first.Status.Phase = corev1.PodSucceeded
	d.see(&first)
	d.see(&second)
	d.forget(second.UID)
	d.see(&third)
	if len(d.found) != 0 {
		t.Errorf("found %v, want nothing", d.found)
	}
	if len(d.holders) != 1 || len(d.carried) != 1 {
		t.Errorf("remembers %d addresses of %d pods, want one of one", len(d.holders), len(d.carried))
	}
}

func TestWatchSeesAnAnnotationThatComesLate(t *testing.T) {
	t.Parallel()
	bare, other := pod("bare", ""), pod("other", tokenB, assigned("blue", "10.0.0.1"))
	d := newDoubles()
	d.see(&bare)
	d.see(&other)
	bound := pod("bare", tokenA, assigned("blue", "10.0.0.1"))
	d.see(&bound)
	d.see(&bound) // the same once more is not another double
	if len(d.found) != 1 {
		t.Errorf("found %v, want one double", d.found)
	}
}

func TestPartIsWhatIsOwnedAndWhatIsTakenFromIt(t *testing.T) {
	t.Parallel()
	s := good()
	s.Pods[1].Namespace = "elsewhere" // with an address of an owned pool
	s.Pods[4].Namespace = "elsewhere" // with none
	s.Endpoints = append(s.Endpoints, crdv1.SpiderEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "elsewhere", Name: "x"}})
	foreign := pod("foreign", "") // runs with what one of the owned carries
	foreign.Namespace, foreign.Status.PodIPs = "elsewhere", []corev1.PodIP{{IP: "10.0.0.2"}}
	s.Pods = append(s.Pods, foreign)
	part := s.Of(func(name string) bool { return name == "shop" || name == "blue" })
	if len(part.Pods) != 7 || len(part.Pools) != 1 || len(part.Endpoints) != 1 {
		t.Errorf("%d pods, %d pools, %d endpoints; want 7, 1, 1", len(part.Pods), len(part.Pools), len(part.Endpoints))
	}
	if len(part.Nodes) != 1 || len(part.Owners) != 1 {
		t.Errorf("%d nodes, %d owners; want all", len(part.Nodes), len(part.Owners))
	}
}
