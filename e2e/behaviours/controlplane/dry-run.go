package controlplane

import (
	_ "embed" // the manifest
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed dry-run.yaml
var dryRunManifest []byte

// DryRun proves: a dry run answers what would be given, or with our gate where nothing would, and
// changes nothing.
var DryRun = behaviours.Behaviour{ID: "dry-run", Manifest: dryRunManifest, Test: dryRun}

func dryRun(t *testing.T, e *behaviours.Env) {
	const pool = "dry-run-pool"
	annotations := behaviours.FromPools([]string{pool}, nil)
	before := e.Pool(t, pool).ResourceVersion
	for range 5 { // more often than the pool has addresses
		got := e.Create(t, behaviours.NewPod("dry-run", "dry", annotations), client.DryRunAll)
		if got.IPv4Pool != pool || !strings.HasPrefix(got.IPv4, "10.5.0.") || !strings.HasSuffix(got.IPv4, "/24") {
			t.Errorf("the answer gives %+v, want an address of pool %q", got, pool)
		}
	}
	if after := e.Pool(t, pool).ResourceVersion; after != before {
		t.Errorf("the pool went from revision %s to %s", before, after)
	}
	pods, err := e.Pods(t.Context(), "dry-run")
	if err != nil {
		t.Fatal(err)
	}
	if len(pods) != 0 {
		t.Errorf("%d pods are there, want none", len(pods))
	}

	for _, name := range []string{"one", "two", "three"} {
		e.Create(t, behaviours.NewPod("dry-run", name, annotations))
	}
	awaitSettled(t, e, pool, 3)
	dry := behaviours.NewPod("dry-run", "dry", annotations)
	if err := e.Client.Create(t.Context(), dry, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	gate := corev1.PodSchedulingGate{Name: crdv1.GateWaitingForAddress}
	if _, given := dry.Annotations[crdv1.AnnotationReservation]; given || !slices.Contains(dry.Spec.SchedulingGates, gate) {
		t.Errorf("a dry run into the full pool answers with annotations %v and gates %v, want our gate and no address", dry.Annotations, dry.Spec.SchedulingGates)
	}
	e.DeleteAll(t, "dry-run")
}
