package check

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

const (
	tokenA = "aaaaaaaaaaaaaaaa"
	tokenB = "bbbbbbbbbbbbbbbb"
	tokenC = "cccccccccccccccc"
)

// Indexes of some pods of good.
const (
	settled = iota
	finished
	reserved
	inUse // of a StatefulSet
	bare
	pendingAdmission // of a StatefulSet
	late
)

// db is the StatefulSet of good.
var db = Owner{Namespace: "shop", Group: "apps", Kind: "StatefulSet", Name: "db"}

// good is a snapshot without a fault: a settled pod with its endpoint, a reserved one that has no
// node yet, a StatefulSet with four addresses, one in use, one pending admission, one unassigned
// and one held, a held address, a pending pod, a finished pod.
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

	runs := pod("settled", tokenA, assigned("blue", "10.0.0.1"))
	runs.Spec.NodeName = "node1"
	runs.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}}
	ended := pod("finished", "eeeeeeeeeeeeeeee", assigned("blue", "10.0.0.1"))
	ended.Status.Phase = corev1.PodSucceeded
	return Snapshot{
		Pods: []corev1.Pod{
			runs, ended,
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
		Owners: Owners{db: {Below: 3}},
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

// faults are changes that each make good bad, and the violation that is then found.
type faults map[string]struct {
	fault func(*Snapshot)
	want  []Violation
}

// expect checks that each fault is found, and nothing else.
func expect(t *testing.T, tests faults) {
	t.Helper()
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

func TestAGoodSnapshotHasNoViolation(t *testing.T) {
	t.Parallel()
	if got := Violations(good()); len(got) != 0 {
		t.Errorf("found:\n%s", Format(got))
	}
}
