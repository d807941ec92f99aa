package controlplane

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed burst.yaml
var burstManifest []byte

// Burst proves: 200 pods at once into a pool of 254 all get an address of their own, with few
// writes; 300 pods fill it to the last address and the rest are told.
var Burst = behaviours.Behaviour{ID: "burst", Manifest: burstManifest, Test: burst}

const (
	burstPool  = "burst-pool"
	burstSize  = 254
	burstPods  = 200
	burstWrite = 0.3 // writes to the pool's status per pod: reserve, settle and release together
)

func burst(t *testing.T, e *behaviours.Env) {
	writes := e.CountWrites(t, burstPool)
	admitAtOnce(t, e, "burst", burstPool, "few", burstPods)
	awaitCarried(t, e, "burst", burstPods, 0)
	awaitSettled(t, e, burstPool, burstPods)
	e.DeleteAll(t, "burst")
	e.AwaitTaken(t, burstPool, 0)
	n := writes.Count(t, e)
	perPod := float64(n) / burstPods
	t.Logf("%d writes to the pool's status for %d pods: %.3f per pod", n, burstPods, perPod)
	if perPod > burstWrite {
		t.Errorf("%.3f writes to the pool's status per pod, want at most %.1f", perPod, burstWrite)
	}

	admitAtOnce(t, e, "burst", burstPool, "many", 300)
	awaitCarried(t, e, "burst", burstSize, 300-burstSize)
	e.AwaitTaken(t, burstPool, burstSize)
	e.DeleteAll(t, "burst")
	e.AwaitTaken(t, burstPool, 0)
}

// admitAtOnce makes pods from many clients. None may be refused.
func admitAtOnce(t *testing.T, e *behaviours.Env, namespace, pool, prefix string, n int) {
	t.Helper()
	var carry atomic.Int64
	behaviours.AtOnce(n, func(i int) {
		pod := behaviours.NewPod(namespace, fmt.Sprintf("%s-%d", prefix, i), behaviours.FromPools([]string{pool}, nil))
		if err := e.Client.Create(t.Context(), pod); err != nil {
			t.Errorf("creating pod %s: %v", pod.Name, err)
			return
		}
		if _, ok := pod.Annotations[crdv1.AnnotationReservation]; ok {
			carry.Add(1)
		}
	})
	t.Logf("%d of %d pods have an address from their admission", carry.Load(), n)
}

// awaitCarried waits until so many pods of a namespace carry an address of their own, and all
// others say that they wait and why.
func awaitCarried(t *testing.T, e *behaviours.Env, namespace string, carried, waiting int) {
	t.Helper()
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		pods, err := e.Pods(ctx, namespace)
		if err != nil {
			return err
		}
		all, told := behaviours.Addresses(pods), 0
		for i := range pods {
			for _, c := range pods[i].Status.Conditions {
				if c.Type == crdv1.ConditionAddressAssigned && c.Status == corev1.ConditionFalse &&
					strings.Contains(c.Message, fmt.Sprintf("pool %q: all %d addresses are taken", burstPool, burstSize)) {
					told++
				}
			}
		}
		if len(all) != carried || told != waiting {
			return fmt.Errorf("of %d pods %d carry an address of their own and %d say that the pool is full, want %d and %d", len(pods), len(all), told, carried, waiting)
		}
		return nil
	})
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
