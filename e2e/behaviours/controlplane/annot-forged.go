package controlplane

import (
	_ "embed" // the manifest
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed annot-forged.yaml
var annotForgedManifest []byte

// AnnotForged proves: what a user writes into the product's annotations at create is
// stripped, also from pods that get no address. (Guards of updates, status and
// bindings come with the admission policies.)
var AnnotForged = behaviours.Behaviour{ID: "annot-forged", Manifest: annotForgedManifest, Test: annotForged}

func annotForged(t *testing.T, e *behaviours.Env) {
	victim := behaviours.NewPod("annot-forged", "victim", behaviours.FromPools([]string{"annot-forged-pool"}, nil))
	theirs := e.Create(t, victim)

	copied := maps.Clone(victim.Annotations) // address and token of the victim
	copied[crdv1.AnnotationAssignedPrefix+"net1"] = `{"interface":"net1","ipv4pool":"annot-forged-pool","ipv4":"10.4.0.7/24"}`
	thief := behaviours.NewPod("annot-forged", "thief", copied)
	got := e.Create(t, thief)
	if got.IPv4 == theirs.IPv4 {
		t.Errorf("the thief carries the victim's address %s", got.IPv4)
	}
	if token := crdv1.AnnotationReservation; thief.Annotations[token] == victim.Annotations[token] {
		t.Error("the thief carries the victim's token")
	}
	if forged, ok := thief.Annotations[crdv1.AnnotationAssignedPrefix+"net1"]; ok {
		t.Errorf("the forged address of another NIC stands: %s", forged)
	}

	onHost := behaviours.NewPod("annot-forged", "on-host", copied)
	onHost.Spec.HostNetwork = true
	mirror := behaviours.NewPod("annot-forged", "mirror", maps.Clone(copied))
	mirror.Annotations[corev1.MirrorPodAnnotationKey] = "hash"
	mirror.Spec.NodeName = "a-node" // wanted of every mirror
	for _, pod := range []*corev1.Pod{onHost, mirror} {
		want := maps.Clone(pod.Annotations)
		for key := range copied {
			if key != crdv1.AnnotationIPPool {
				delete(want, key)
			}
		}
		if err := e.Client.Create(t.Context(), pod); err != nil {
			t.Fatalf("creating pod %s: %v", pod.Name, err)
		}
		if diff := cmp.Diff(want, pod.Annotations); diff != "" {
			t.Errorf("annotations of pod %s (-want +got):\n%s", pod.Name, diff)
		}
	}
	e.DeleteAll(t, "annot-forged")
}
