package controlplane

import (
	"context"
	_ "embed" // the manifest
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed pool-overlap.yaml
var poolOverlapManifest []byte

// PoolOverlap proves: twenty pools with one another's addresses, made at one moment so that
// webhooks do not see one another: one becomes Ready, the others are refused or stay unready with
// that one's name; only that one gives addresses.
var PoolOverlap = behaviours.Behaviour{ID: "pool-overlap", Manifest: poolOverlapManifest, Test: poolOverlap}

func poolOverlap(t *testing.T, e *behaviours.Env) {
	template := e.Pool(t, "pool-overlap-template")
	if err := e.Client.Delete(t.Context(), template); err != nil {
		t.Fatal(err)
	}
	behaviours.Eventually(t, behaviours.Grace, func(ctx context.Context) error {
		pools, err := overlapping(ctx, e)
		if len(pools) > 0 {
			return errors.Join(err, errors.New("the template is still there"))
		}
		return err
	})
	const n = 20
	refusals := make([]error, n)
	behaviours.AtOnce(n, func(i int) {
		refusals[i] = e.Client.Create(t.Context(), &crdv1.SpiderIPPool{
			ObjectMeta: metav1.ObjectMeta{Name: poolOverlapName(i)}, Spec: template.Spec,
		})
	})
	var stored []string
	for i, err := range refusals {
		if err == nil {
			stored = append(stored, poolOverlapName(i))
		} else if !strings.Contains(err.Error(), `overlaps pool "pool-overlap-`) {
			t.Errorf("refused for another reason: %v", err)
		}
	}
	t.Logf("%d of %d pools passed validation", len(stored), n)
	winner := awaitOneReady(t, e)
	for _, name := range stored { // the winner's addresses are given, nobody else's
		pod := behaviours.NewPod("pool-overlap", "pod-"+name, behaviours.FromPools([]string{name}, nil))
		if name == winner {
			e.Create(t, pod)
			continue
		}
		e.CreateWaiting(t, pod)
		e.AwaitReason(t, pod, crdv1.ReasonPoolNotReady)
	}
	e.DeleteAll(t, "pool-overlap")
}

func poolOverlapName(i int) string { return fmt.Sprintf("pool-overlap-%02d", i) }

// awaitOneReady waits until all pools have been judged, and returns the Ready one.
func awaitOneReady(t *testing.T, e *behaviours.Env) string {
	t.Helper()
	var ready []string
	behaviours.Eventually(t, behaviours.Grace, func(ctx context.Context) error {
		pools, err := overlapping(ctx, e)
		if err != nil {
			return err
		}
		ready = nil
		for _, p := range pools {
			c := meta.FindStatusCondition(p.Status.Conditions, crdv1.ConditionReady)
			switch {
			case c == nil:
				return fmt.Errorf("pool %q has not been judged", p.Name)
			case c.Status == metav1.ConditionTrue:
				ready = append(ready, p.Name)
			case c.Reason != crdv1.ReasonOverlap || !strings.Contains(c.Message, `"pool-overlap-`):
				return fmt.Errorf("pool %q is unready for %s: %s", p.Name, c.Reason, c.Message)
			}
		}
		return nil
	})
	if len(ready) != 1 {
		t.Fatalf("%q are Ready, want exactly one", ready)
	}
	return ready[0]
}

func overlapping(ctx context.Context, e *behaviours.Env) ([]crdv1.SpiderIPPool, error) {
	var list crdv1.SpiderIPPoolList
	if err := e.Client.List(ctx, &list); err != nil {
		return nil, err
	}
	var pools []crdv1.SpiderIPPool
	for _, p := range list.Items {
		if strings.HasPrefix(p.Name, "pool-overlap-") {
			pools = append(pools, p)
		}
	}
	return pools, nil
}
