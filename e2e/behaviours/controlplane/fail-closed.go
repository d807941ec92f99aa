package controlplane

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/install"
)

//go:embed fail-closed.yaml
var failClosedManifest []byte

// FailClosed proves, where the API server cannot strip forged annotations itself: while the
// controller is away pods are refused and told why, but not in the namespaces that the cluster
// needs to start; their pods get addresses when it is back, and forged annotations are refused
// there. It needs an API server of Kubernetes FailClosedOn and a controller of its own.
var FailClosed = behaviours.Behaviour{ID: "fail-closed", Also: failClosedSpared, Manifest: failClosedManifest, Test: failClosed}

// FailClosedOn is the last version that has no MutatingAdmissionPolicy.
const FailClosedOn = "1.35"

// failClosedSpared are the namespaces that the pods' webhook does not see.
var failClosedSpared = []string{"kube-system", "cert-manager", install.Namespace}

func failClosed(t *testing.T, e *behaviours.Env) {
	withoutStripping(t, e)
	annotations := behaviours.FromPools([]string{"fail-closed-pool"}, nil)
	victim := behaviours.NewPod("fail-closed", "victim", maps.Clone(annotations))
	e.Create(t, victim)
	copied := maps.Clone(victim.Annotations)
	copied[assignedNet1] = forgedNet1
	thief := behaviours.NewPod("fail-closed", "thief", maps.Clone(copied))
	e.Create(t, thief)
	stolen(t, victim, thief)
	sparedRefuse(t, e, copied)

	if err := e.Controller.Stop(t.Context(), behaviours.Patience); err != nil {
		t.Fatal(err)
	}
	refusedWhileAway(t, e, annotations)
	sparedRefuse(t, e, copied)
	var spared []*corev1.Pod
	for _, namespace := range failClosedSpared {
		pod := behaviours.NewPod(namespace, "fail-closed-spared", maps.Clone(annotations))
		if err := e.Client.Create(t.Context(), pod); err != nil {
			t.Errorf("creating pod %s/%s: %v", pod.Namespace, pod.Name, err)
		}
		if err := behaviours.CarriesNothing(pod); err != nil {
			t.Error(err)
		}
		spared = append(spared, pod)
	}
	after := victim.DeepCopy()
	after.Annotations[assignedEth0] = forgedEth0
	if err := e.Client.Patch(t.Context(), after, client.MergeFrom(victim)); err == nil || !strings.Contains(err.Error(), assignedEth0) {
		t.Errorf("changing an address says %v", err)
	}

	if err := e.Controller.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := e.Controller.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		return e.Client.Create(ctx, behaviours.NewPod("fail-closed", "again", maps.Clone(annotations)))
	})
	for _, pod := range spared {
		e.AwaitAssigned(t, pod)
		if err := e.Client.Delete(t.Context(), pod); err != nil {
			t.Error(err)
		}
	}
	e.DeleteAll(t, "fail-closed")
	e.AwaitTaken(t, "fail-closed-pool", 0)
}

// withoutStripping makes sure that the API server is what it is to be.
func withoutStripping(t *testing.T, e *behaviours.Env) {
	t.Helper()
	served, err := e.Clients.Discovery().ServerResourcesForGroupVersion("admissionregistration.k8s.io/v1")
	if err != nil {
		t.Fatal(err)
	}
	has := func(kind string) bool {
		return slices.ContainsFunc(served.APIResources, func(r metav1.APIResource) bool { return r.Kind == kind })
	}
	if has("MutatingAdmissionPolicy") || !has("ValidatingAdmissionPolicy") {
		t.Fatalf("the API server serves %+v, want it to be of Kubernetes %s", served.APIResources, FailClosedOn)
	}
}

// sparedRefuse makes pods with forged annotations where nobody strips them.
func sparedRefuse(t *testing.T, e *behaviours.Env, forged map[string]string) {
	t.Helper()
	for _, namespace := range failClosedSpared {
		for _, key := range []string{assignedEth0, assignedNet1, crdv1.AnnotationReservation} {
			pod := behaviours.NewPod(namespace, "fail-closed-forged", map[string]string{key: forged[key]})
			want := fmt.Sprintf(`pods "fail-closed-forged" is forbidden: ValidatingAdmissionPolicy 'spiderpool-claims-at-create' `+
				`with binding 'spiderpool-claims-at-create' denied request: annotations that Spiderpool's controller alone writes: %s; leave them out`, key)
			if got := e.Refused(t, pod); got != want {
				t.Errorf("answer in namespace %s is\n  %s\nwant\n  %s", namespace, got, want)
			}
		}
	}
}

// refusedWhileAway makes a hundred pods, and none comes to be.
func refusedWhileAway(t *testing.T, e *behaviours.Env, annotations map[string]string) {
	t.Helper()
	before, err := e.Pods(t.Context(), "fail-closed")
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]int{} // answer -> times
	var mu sync.Mutex
	behaviours.AtOnce(100, func(i int) {
		err := e.Client.Create(t.Context(), behaviours.NewPod("fail-closed", fmt.Sprintf("refused-%d", i), maps.Clone(annotations)))
		mu.Lock()
		defer mu.Unlock()
		answers[fmt.Sprint(err)]++
	})
	for answer, times := range answers {
		if !strings.Contains(answer, `failed calling webhook "pods.spiderpool.spidernet.io"`) || !strings.HasSuffix(answer, "connect: connection refused") {
			t.Errorf("%d pods were answered: %s", times, answer)
		}
	}
	after, err := e.Pods(t.Context(), "fail-closed")
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before) {
		t.Errorf("%d pods, want the %d from before", len(after), len(before))
	}
}
