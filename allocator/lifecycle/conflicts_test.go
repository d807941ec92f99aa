package lifecycle

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	recording "k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// storedPod is a pod that can be read and patched.
type storedPod struct {
	client.Client // of nothing else
	pod           *corev1.Pod
	taken         []string // annotations that a patch removed
}

func (s *storedPod) Get(_ context.Context, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if pod, ok := into.(*corev1.Pod); ok {
		s.pod.DeepCopyInto(pod)
	}
	return nil
}

func (s *storedPod) Patch(_ context.Context, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	var p struct {
		Metadata struct {
			Annotations map[string]*string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	for key, value := range p.Metadata.Annotations {
		if value == nil {
			s.taken = append(s.taken, key)
		}
	}
	return nil
}

// Of two live pods that claim one address the younger one loses it, unless it has a node: then its
// sandbox may have it.
func TestTheYoungerOfTwoPodsIsUnbound(t *testing.T) {
	t.Parallel()
	aged := func(name string, created int64, node string) *view.Pod {
		p := pod(name, tokenA, 1)
		p.CreationTimestamp, p.Node = metav1.NewTime(time.Unix(created, 0)), node
		return p
	}
	for name, c := range map[string]struct {
		claims, other *view.Pod
		boundSince    bool // the younger was bound to a node since the view saw it
		want          bool // addresses are taken from the younger
	}{
		"the one that claims it is younger":        {claims: aged("young", 2, ""), other: aged("old", 1, "n"), want: true},
		"the other is younger":                     {claims: aged("old", 1, "n"), other: aged("young", 2, ""), want: true},
		"the younger has a node":                   {claims: aged("young", 2, "n"), other: aged("old", 1, "n")},
		"the younger has a node by now":            {claims: aged("young", 2, ""), other: aged("old", 1, "n"), boundSince: true},
		"the older has none, and the younger does": {claims: aged("old", 1, ""), other: aged("young", 2, "n")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stored := &storedPod{pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: "young", UID: "uid-young",
				Annotations: map[string]string{crdv1.AnnotationReservation: "t", crdv1.AnnotationAssignedPrefix + "eth0": "{}", "theirs": "x"},
			}}}
			if c.boundSince {
				stored.pod.Spec.NodeName = "n"
			}
			recorder := recording.NewFakeRecorder(10)
			conflicts := &conflicts{
				client: stored, api: stored, claims: podView{pods: []*view.Pod{c.claims, c.other}}, events: &events{view.Recorder{EventRecorder: recorder}},
			}
			if err := conflicts.resolveConflict(t.Context(), "p", x, c.claims); err != nil {
				t.Fatal(err)
			}
			if got := len(stored.taken) == 2; got != c.want || len(stored.taken)%2 != 0 {
				t.Errorf("annotations taken from the younger: %v, want that it loses its addresses: %t", stored.taken, c.want)
			}
			if len(recorder.Events) != 2 {
				t.Errorf("%d events, want one on each pod", len(recorder.Events))
			}
		})
	}
}
