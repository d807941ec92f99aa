package controlplane

import (
	"context"
	_ "embed" // the manifest
	"testing"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed full-refused.yaml
var fullRefusedManifest []byte

// FullRefused proves: a pod whose pools are full is refused with every candidate and
// why it was passed over, nothing stays reserved for it (I9), and an address
// that is freed serves the next.
var FullRefused = behaviours.Behaviour{ID: "full-refused", Manifest: fullRefusedManifest, Test: fullRefused}

func fullRefused(t *testing.T, e *behaviours.Env) {
	const small, off, six = "full-refused-small", "full-refused-off", "full-refused-six"
	annotations := behaviours.FromPools([]string{off, small}, []string{six})
	one := behaviours.NewPod("full-refused", "one", annotations)
	e.Create(t, one)
	e.Create(t, behaviours.NewPod("full-refused", "two", annotations))
	awaitSettled(t, e, small, 2)
	awaitSettled(t, e, six, 2)

	want := `admission webhook "pods.spiderpool.spidernet.io" denied the request: ` +
		`pools chosen by annotation ipam.spidernet.io/ippool: reserving from pool "full-refused-small": ` +
		`all 2 addresses taken (2 settled); passed over: ` +
		`"full-refused-off" does not match the labels of the pod (podAffinity app=another)`
	if got := e.Refused(t, behaviours.NewPod("full-refused", "three", annotations)); got != want {
		t.Errorf("refusal is\n  %s\nwant\n  %s", got, want)
	}
	// The other family had addresses, and keeps none for the refused pod.
	awaitSettled(t, e, six, 2)

	if err := e.Client.Delete(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	three := behaviours.NewPod("full-refused", "three", annotations)
	behaviours.Eventually(t, behaviours.Grace, func(ctx context.Context) error {
		return e.Client.Create(ctx, three.DeepCopy())
	})
	if got, _ := crdv1.ClaimsOf(one.Annotations); len(got) != 2 {
		t.Errorf("the first pod had %v, want an address of each family", got)
	}
	e.DeleteAll(t, "full-refused")
}
