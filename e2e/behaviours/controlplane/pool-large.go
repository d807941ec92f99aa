package controlplane

import (
	_ "embed" // the manifest
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed pool-large.yaml
var poolLargeManifest []byte

// PoolLarge proves: a /10 and an IPv6 /64 are pools like others: made, counted and used without
// ever being expanded. One that was would outlast the patience for Ready, or take the controller's
// memory.
var PoolLarge = behaviours.Behaviour{ID: "pool-large", Manifest: poolLargeManifest, Test: poolLarge}

func poolLarge(t *testing.T, e *behaviours.Env) {
	const v4, v6 = "pool-large-v4", "pool-large-v6"
	for name, want := range map[string]int64{
		v4: 1<<22 - 3,     // without the network address, the gateway and the broadcast address
		v6: math.MaxInt64, // counters stop there
	} {
		if got := e.Pool(t, name).Status.TotalIPCount; got == nil || *got != want {
			t.Errorf("pool %q counts %v addresses, want %d", name, got, want)
		}
	}
	got := e.Create(t, behaviours.NewPod("pool-large", "first", behaviours.FromPools([]string{v4}, []string{v6})))
	want := crdv1.Assigned{
		Interface: "eth0", IPv4Pool: v4, IPv4: "10.64.0.2/10", IPv4Gateway: "10.64.0.1",
		IPv6Pool: v6, IPv6: "fc00:64::2/64", IPv6Gateway: "fc00:64::1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("assigned (-want +got):\n%s", diff)
	}
	admitAtOnce(t, e, "pool-large", v4, "more", 50)
	awaitCarried(t, e, "pool-large", 52, 0) // the first pod has two
	e.DeleteAll(t, "pool-large")
	e.AwaitTaken(t, v4, 0)
	e.AwaitTaken(t, v6, 0)
}
