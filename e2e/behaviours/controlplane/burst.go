package controlplane

import (
	_ "embed" // the manifest
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed burst.yaml
var burstManifest []byte

// Burst proves: 200 pods at once into a pool of 254 all get an address of their own,
// with few writes; 300 pods fill it to the last address and the rest are told.
var Burst = behaviours.Behaviour{ID: "burst", Manifest: burstManifest, Test: burst}

const (
	burstPool  = "burst-pool"
	burstSize  = 254
	burstPods  = 200
	burstWrite = 0.3 // writes to the pool's status per pod: reserve, settle and release together
)

func burst(t *testing.T, e *behaviours.Env) {
	writes := e.CountWrites(t, burstPool)
	given, refused := admitAtOnce(t, e, "burst", burstPool, "few", burstPods)
	if len(given) != burstPods || len(refused) > 0 {
		t.Fatalf("%d of %d pods got an address of their own; refused: %q", len(given), burstPods, refused)
	}
	awaitSettled(t, e, burstPool, burstPods)
	e.DeleteAll(t, "burst")
	e.AwaitTaken(t, burstPool, 0)
	n := writes.Count(t, e)
	perPod := float64(n) / burstPods
	t.Logf("%d writes to the pool's status for %d pods: %.3f per pod", n, burstPods, perPod)
	if perPod > burstWrite {
		t.Errorf("%.3f writes to the pool's status per pod, want at most %.1f", perPod, burstWrite)
	}

	given, refused = admitAtOnce(t, e, "burst", burstPool, "many", 300)
	if len(given) != burstSize || len(refused) != 300-burstSize {
		t.Errorf("%d pods got an address and %d were refused, want %d and %d", len(given), len(refused), burstSize, 300-burstSize)
	}
	for _, refusal := range refused {
		if !strings.Contains(refusal, `reserving from pool "burst-pool": all 254 addresses taken`) {
			t.Errorf("a refusal that does not say why: %s", refusal)
		}
	}
	e.AwaitTaken(t, burstPool, burstSize)
	e.DeleteAll(t, "burst")
	e.AwaitTaken(t, burstPool, 0)
}

// admitAtOnce makes pods from many clients and returns which addresses were
// given, each to one pod, and all refusals.
func admitAtOnce(t *testing.T, e *behaviours.Env, namespace, pool, prefix string, n int) (map[netip.Addr]string, []string) {
	t.Helper()
	var mu sync.Mutex
	given := map[netip.Addr]string{} // address -> pod
	var refused []string
	behaviours.AtOnce(n, func(i int) {
		pod := behaviours.NewPod(namespace, fmt.Sprintf("%s-%d", prefix, i), behaviours.FromPools([]string{pool}, nil))
		err := e.Client.Create(t.Context(), pod)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			refused = append(refused, err.Error())
			return
		}
		claims, errs := crdv1.ClaimsOf(pod.Annotations)
		if len(claims) != 1 || len(errs) > 0 {
			t.Errorf("pod %s carries %v (%v), want one address", pod.Name, claims, errs)
			return
		}
		if other, taken := given[claims[0].Address]; taken {
			t.Errorf("pods %s and %s carry %s", other, pod.Name, claims[0].Address)
		}
		given[claims[0].Address] = pod.Name
	})
	return given, refused
}

// awaitSettled waits until a pool has n settled addresses and no other.
func awaitSettled(t *testing.T, e *behaviours.Env, pool string, n int64) {
	t.Helper()
	e.AwaitPool(t, pool, func(p *crdv1.SpiderIPPool) error {
		s := p.Status
		if len(s.Reserved)+len(s.Held)+len(s.Retained) > 0 || s.AllocatedIPCount == nil || *s.AllocatedIPCount != n {
			return fmt.Errorf("status is %+v, want %d addresses, all settled", s, n)
		}
		return nil
	})
}
