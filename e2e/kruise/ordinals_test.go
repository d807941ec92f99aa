package kruise

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func statefulSet(replicas int32, change ...func(*StatefulSet)) *StatefulSet {
	set := &StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db", Namespace: "shop", UID: "set-uid"}}
	set.Spec.Replicas = &replicas
	set.Spec.Template.Labels = map[string]string{"app": "db"}
	for _, f := range change {
		f(set)
	}
	return set
}

func parallel(s *StatefulSet) { s.Spec.PodManagementPolicy = appsv1.ParallelPodManagement }

func reserving(ordinals ...any) func(*StatefulSet) {
	return func(s *StatefulSet) {
		for _, o := range ordinals {
			s.Spec.ReserveOrdinals = append(s.Spec.ReserveOrdinals, intstr.Parse(fmt.Sprint(o)))
		}
	}
}

func startingAt(n int32) func(*StatefulSet) {
	return func(s *StatefulSet) { s.Spec.Ordinals = &StatefulSetOrdinals{Start: n} }
}

// honoured has the feature gate for ordinals.start on.
var honoured = Gates{StartOrdinal: true}

func TestPodsAreNumberedPastWhatIsReserved(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		set  *StatefulSet
		gate Gates
		want []int
	}{
		"from zero":                              {statefulSet(3), Gates{}, []int{0, 1, 2}},
		"one where replicas is not set":          {statefulSet(0, func(s *StatefulSet) { s.Spec.Replicas = nil }), Gates{}, []int{0}},
		"no replicas":                            {statefulSet(0), Gates{}, nil},
		"past one that is reserved":              {statefulSet(3, reserving(1)), Gates{}, []int{0, 2, 3}},
		"past a range":                           {statefulSet(3, reserving("1-3")), Gates{}, []int{0, 4, 5}},
		"past ranges that overlap":               {statefulSet(3, reserving("1-3", "2-4", 0)), Gates{}, []int{5, 6, 7}},
		"past a huge range":                      {statefulSet(2, reserving("1-2000000000")), Gates{}, []int{0, 2000000001}},
		"from a start":                           {statefulSet(2, startingAt(5)), honoured, []int{5, 6}},
		"from a start that is reserved":          {statefulSet(4, startingAt(2), reserving(1, 3)), honoured, []int{2, 4, 5, 6}},
		"from zero where no start is set":        {statefulSet(2), honoured, []int{0, 1}},
		"from a start that is ignored":           {statefulSet(2, startingAt(5)), Gates{}, []int{0, 1}},
		"past what is reserved, start ignored":   {statefulSet(4, startingAt(2), reserving(1, 3)), Gates{}, []int{0, 2, 4, 5}},
		"past nothing where a range is reversed": {statefulSet(2, reserving(0, "3-1")), Gates{}, []int{0, 1}},
		"past nothing where a range is a number": {
			statefulSet(2, func(s *StatefulSet) { s.Spec.ReserveOrdinals = []intstr.IntOrString{intstr.FromString("0")} }), Gates{}, []int{0, 1},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, tc.set.ordinals(tc.gate)); diff != "" {
				t.Errorf("ordinals (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyPlainNumbersAreOrdinals(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"db-0": true, "db-12": true, "db-": false, "db-01": false, "db-+1": false, "db--1": false, "db-x": false, "other-0": false, "db": false} {
		if _, ok := ordinalOf(statefulSet(1), name); ok != want {
			t.Errorf("%s is a pod of the set: %v, want %v", name, ok, want)
		}
	}
}

// States of pods in a round.
const (
	isReady = iota
	isPending
	isFailed
	isTerminating
)

func podsLike(states map[int]int) []*corev1.Pod { // states: ordinal -> state
	var pods []*corev1.Pod
	for n, state := range states {
		pod := newStatefulPod(statefulSet(1), n)
		pod.Status.Phase = corev1.PodPending
		switch state {
		case isFailed:
			pod.Status.Phase = corev1.PodFailed
		case isReady, isTerminating:
			pod.Status.Phase = corev1.PodRunning
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		}
		if state == isTerminating {
			pod.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		}
		pods = append(pods, pod)
	}
	return pods
}

func TestARoundDoesWhatTheSetNeeds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		set        *StatefulSet
		gates      Gates
		pods       map[int]int // ordinal -> state
		wantCreate []int
		wantRemove []string
	}{
		"an ordered set begins with the first":               {set: statefulSet(3), wantCreate: []int{0}},
		"an ordered set waits for the one before":            {set: statefulSet(3), pods: map[int]int{0: isPending}},
		"an ordered set goes on when it is ready":            {set: statefulSet(3), pods: map[int]int{0: isReady}, wantCreate: []int{1}},
		"an ordered set waits for the end of a pod":          {set: statefulSet(2), pods: map[int]int{0: isTerminating, 1: isReady}},
		"a parallel set makes all":                           {set: statefulSet(3, parallel), wantCreate: []int{0, 1, 2}},
		"a parallel set fills gaps":                          {set: statefulSet(3, parallel), pods: map[int]int{1: isPending}, wantCreate: []int{0, 2}},
		"a pod that is being deleted is not replaced":        {set: statefulSet(2, parallel), pods: map[int]int{0: isTerminating}, wantCreate: []int{1}},
		"a failed pod is deleted to be made again":           {set: statefulSet(1), pods: map[int]int{0: isFailed}, wantRemove: []string{"db-0"}},
		"an ordered set deletes the highest first":           {set: statefulSet(1), pods: map[int]int{0: isReady, 1: isReady, 2: isReady}, wantRemove: []string{"db-2"}},
		"an ordered set waits for the highest to end":        {set: statefulSet(1), pods: map[int]int{0: isReady, 1: isReady, 2: isTerminating}},
		"an ordered set deletes none while one is not ready": {set: statefulSet(1), pods: map[int]int{0: isPending, 1: isReady}},
		"a parallel set deletes all surplus pods":            {set: statefulSet(1, parallel), pods: map[int]int{0: isPending, 1: isReady, 2: isTerminating, 3: isReady}, wantRemove: []string{"db-3", "db-1"}},
		"a pod with an ordinal that gets reserved moves":     {set: statefulSet(2, parallel, reserving(1)), pods: map[int]int{0: isReady, 1: isReady}, wantCreate: []int{2}, wantRemove: []string{"db-1"}},
		"a pod before a start that is ignored stays":         {set: statefulSet(1, startingAt(1)), pods: map[int]int{0: isReady, 1: isReady}, wantRemove: []string{"db-1"}},
		"a pod before the start is surplus":                  {set: statefulSet(1, startingAt(1)), gates: honoured, pods: map[int]int{0: isReady, 1: isReady}, wantRemove: []string{"db-0"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := next(tc.set, tc.gates, podsLike(tc.pods))
			if diff := cmp.Diff(tc.wantCreate, s.create); diff != "" {
				t.Errorf("makes (-want +got):\n%s", diff)
			}
			var remove []string
			for _, pod := range s.remove {
				remove = append(remove, pod.Name)
			}
			if diff := cmp.Diff(tc.wantRemove, remove); diff != "" {
				t.Errorf("deletes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatefulPodHasNameHostLabelsAndGate(t *testing.T) {
	t.Parallel()
	set := statefulSet(1, func(s *StatefulSet) { s.Spec.ServiceName = "peers" })
	pod := newStatefulPod(set, 3)
	if pod.Name != "db-3" || pod.Spec.Hostname != "db-3" || pod.Spec.Subdomain != "peers" {
		t.Errorf("name %q, host %q, subdomain %q; want db-3, db-3, peers", pod.Name, pod.Spec.Hostname, pod.Spec.Subdomain)
	}
	wantLabels := map[string]string{
		"app": "db", "statefulset.kubernetes.io/pod-name": "db-3", "apps.kubernetes.io/pod-index": "3", LabelLifecycle: "Normal",
	}
	if diff := cmp.Diff(wantLabels, pod.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	yes := true
	wantOwners := []metav1.OwnerReference{{
		APIVersion: "apps.kruise.io/v1beta1", Kind: "StatefulSet", Name: "db", UID: "set-uid", Controller: &yes, BlockOwnerDeletion: &yes,
	}}
	if diff := cmp.Diff(wantOwners, pod.OwnerReferences); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]corev1.PodReadinessGate{{ConditionType: "KruisePodReady"}}, pod.Spec.ReadinessGates); diff != "" {
		t.Errorf("readiness gates (-want +got):\n%s", diff)
	}
}

func TestOnlyGatesOfThePodAreSet(t *testing.T) {
	t.Parallel()
	got := missingConditions(newStatefulPod(statefulSet(1), 0), metav1.NewTime(time.Unix(5, 0)))
	if len(got) != 1 || got[0].Type != GatePodReady {
		t.Errorf("conditions are %v, want one of %s", got, GatePodReady)
	}
}
