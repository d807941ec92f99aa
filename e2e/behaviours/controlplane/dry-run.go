package controlplane

import (
	_ "embed" // the manifest
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed dry-run.yaml
var dryRunManifest []byte

// DryRun proves: a dry run answers what would be given, or why nothing would, and
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
	err = e.Client.Create(t.Context(), behaviours.NewPod("dry-run", "dry", annotations), client.DryRunAll)
	if err == nil || !strings.Contains(err.Error(), "all 3 addresses taken (") {
		t.Errorf("a dry run into the full pool answers %v, want that all 3 addresses are taken", err)
	}
	e.DeleteAll(t, "dry-run")
}
