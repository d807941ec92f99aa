package choice_test

import (
	"encoding/json"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func zone(values ...string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
		{Key: "zone", Operator: corev1.NodeSelectorOpIn, Values: values},
	}}
}

func disk(value string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
		{Key: "disk", Operator: corev1.NodeSelectorOpIn, Values: []string{value}},
	}}
}

func both(a, b corev1.NodeSelectorTerm) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: append(append([]corev1.NodeSelectorRequirement{}, a.MatchExpressions...), b.MatchExpressions...)}
}

func requiring(terms ...corev1.NodeSelectorTerm) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{
			PodAntiAffinity: &corev1.PodAntiAffinity{},
			NodeAffinity:    &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms}},
		}
	}
}

func gates(names ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for _, n := range names {
			p.Spec.SchedulingGates = append(p.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: n})
		}
	}
}

func pod(edits ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: "p", UID: "u", ResourceVersion: "7", Annotations: map[string]string{"theirs": "x", "old": "y"},
	}}
	for _, edit := range edits {
		edit(p)
	}
	return p
}

func cases() map[string]struct {
	patch     choice.Patch
	pod, want *corev1.Pod
} {
	const ours = crdv1.GateWaitingForAddress
	nodes := &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{zone("a"), zone("b")}}
	return map[string]struct {
		patch     choice.Patch
		pod, want *corev1.Pod
	}{
		"nothing": {choice.Patch{}, pod(gates(ours)), pod(gates(ours))},
		"annotations are added and removed": {
			choice.Patch{Annotations: map[string]string{"ours": "z"}, Remove: []string{"old"}}, pod(),
			pod(func(p *corev1.Pod) { p.Annotations = map[string]string{"theirs": "x", "ours": "z"} }),
		},
		"our gate is added":                     {choice.Patch{Gate: choice.GateAdded}, pod(gates("other")), pod(gates("other", ours))},
		"our gate is there already":             {choice.Patch{Gate: choice.GateAdded}, pod(gates(ours)), pod(gates(ours))},
		"our gate is removed":                   {choice.Patch{Gate: choice.GateRemoved}, pod(gates("other", ours)), pod(gates("other"))},
		"our gate is removed, the last":         {choice.Patch{Gate: choice.GateRemoved}, pod(gates(ours)), pod()},
		"our gate is removed, but is not there": {choice.Patch{Gate: choice.GateRemoved}, pod(gates("other")), pod(gates("other"))},
		"a pod that requires nothing of its node": {
			choice.Patch{Nodes: nodes}, pod(),
			pod(requiring(zone("a"), zone("b")), func(p *corev1.Pod) { p.Spec.Affinity.PodAntiAffinity = nil }),
		},
		"each term that a pod requires is joined with each of ours": {
			choice.Patch{Nodes: nodes}, pod(requiring(disk("ssd"), disk("nvme"))),
			pod(requiring(both(disk("ssd"), zone("a")), both(disk("ssd"), zone("b")), both(disk("nvme"), zone("a")), both(disk("nvme"), zone("b")))),
		},
		"a term that matches no node still matches none": {
			choice.Patch{Nodes: nodes}, pod(requiring(corev1.NodeSelectorTerm{})), pod(requiring(corev1.NodeSelectorTerm{})),
		},
	}
}

func TestAPatchChangesAPodThatIsBeingCreated(t *testing.T) {
	t.Parallel()
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.patch.Apply(c.pod)
			if diff := cmp.Diff(c.want, c.pod, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The patch of a stored pod has the same effect as applying it to a pod that is being created.
func TestAPatchDoesTheSameToAStoredPod(t *testing.T) {
	t.Parallel()
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := c.pod.DeepCopy()
			patch, err := c.patch.Merge(c.pod)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, c.pod); diff != "" {
				t.Errorf("the pod was changed: %s", diff)
			}
			stored, err := json.Marshal(c.pod)
			if err != nil {
				t.Fatal(err)
			}
			merged, err := jsonpatch.MergePatch(stored, patch)
			if err != nil {
				t.Fatal(err)
			}
			var got corev1.Pod
			if err := json.Unmarshal(merged, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, &got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s\npatch %s", diff, patch)
			}
		})
	}
}

func TestAPatchNamesThePodThatItIsFor(t *testing.T) {
	t.Parallel()
	patch, err := choice.Patch{}.Merge(pod())
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"metadata":{"uid":"u","resourceVersion":"7"}}`; string(patch) != want {
		t.Errorf("got %s, want %s", patch, want)
	}
}
