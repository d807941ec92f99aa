package kruise

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func cloneSet(change ...func(*CloneSet)) *CloneSet {
	set := &CloneSet{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "set-uid"}}
	set.Spec.Template.Labels = map[string]string{"app": "web"}
	set.Spec.Template.Annotations = map[string]string{"ipam.spidernet.io/ippool": `{"ipv4":["blue"]}`}
	for _, f := range change {
		f(set)
	}
	return set
}

func TestPodIsNamedOwnedAndGatedAsOpenKruiseDoes(t *testing.T) {
	t.Parallel()
	pod := newClonePod(cloneSet(), map[string]bool{})

	if !regexp.MustCompile(`^web-[a-z0-9]{5}$`).MatchString(pod.Name) {
		t.Errorf("name is %q, want web- and five characters", pod.Name)
	}
	wantLabels := map[string]string{"app": "web", LabelInstanceID: pod.Name[len("web-"):], LabelLifecycle: "Normal"}
	if diff := cmp.Diff(wantLabels, pod.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	yes := true
	wantOwners := []metav1.OwnerReference{{
		APIVersion: "apps.kruise.io/v1beta1", Kind: "CloneSet", Name: "web", UID: "set-uid", Controller: &yes, BlockOwnerDeletion: &yes,
	}}
	if diff := cmp.Diff(wantOwners, pod.OwnerReferences); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	wantGates := []corev1.PodReadinessGate{{ConditionType: "InPlaceUpdateReady"}, {ConditionType: "KruisePodReady"}}
	if diff := cmp.Diff(wantGates, pod.Spec.ReadinessGates); diff != "" {
		t.Errorf("readiness gates (-want +got):\n%s", diff)
	}
}

func TestPodDoesNotShareMapsWithItsTemplate(t *testing.T) {
	t.Parallel()
	set := cloneSet()
	newClonePod(set, map[string]bool{}).Annotations["x"] = "y"
	if diff := cmp.Diff(cloneSet().Spec.Template, set.Spec.Template); diff != "" {
		t.Errorf("the template changed (-want +got):\n%s", diff)
	}
}

func TestPodKeepsAGateThatItsTemplateHas(t *testing.T) {
	t.Parallel()
	pod := newClonePod(cloneSet(func(s *CloneSet) {
		s.Spec.Template.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: GatePodReady}}
	}), map[string]bool{})
	if len(pod.Spec.ReadinessGates) != 2 {
		t.Errorf("readiness gates are %v, want each once", pod.Spec.ReadinessGates)
	}
}

func TestActivePodsAreNeitherDeletedNorFinished(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pod  corev1.Pod
		want bool
	}{
		"new":       {corev1.Pod{}, true},
		"running":   {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning}}, true},
		"deleted":   {corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &metav1.Time{Time: time.Unix(1, 0)}}}, false},
		"succeeded": {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodSucceeded}}, false},
		"failed":    {corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed}}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := active(&tc.pod); got != tc.want {
				t.Errorf("active is %v, want %v", got, tc.want)
			}
		})
	}
}

func TestDeletionBeginsWithPodsThatServeNoTraffic(t *testing.T) {
	t.Parallel()
	pod := func(name, node string, ready corev1.ConditionStatus, age int64) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(1000-age, 0))},
			Spec:       corev1.PodSpec{NodeName: node},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
		}
	}
	pods := []*corev1.Pod{
		pod("ready-old", "n", corev1.ConditionTrue, 20), pod("ready-young", "n", corev1.ConditionTrue, 10),
		pod("unready", "n", corev1.ConditionFalse, 30), pod("unscheduled", "", corev1.ConditionFalse, 40),
	}
	slices.SortStableFunc(pods, deleteFirst)
	var got []string
	for _, p := range pods {
		got = append(got, p.Name)
	}
	if diff := cmp.Diff([]string{"unscheduled", "unready", "ready-young", "ready-old"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestOnlyGatesThatAreNotTrueAreSet(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
		{Type: GatePodReady, Status: corev1.ConditionTrue}, {Type: GateInPlaceUpdate, Status: corev1.ConditionFalse},
	}}}
	addGate(pod, GatePodReady)
	addGate(pod, GateInPlaceUpdate)
	now := metav1.NewTime(time.Unix(5, 0))
	want := []corev1.PodCondition{{Type: GateInPlaceUpdate, Status: corev1.ConditionTrue, LastTransitionTime: now}}
	if diff := cmp.Diff(want, missingConditions(pod, now)); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}
