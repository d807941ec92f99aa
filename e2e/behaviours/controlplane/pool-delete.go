package controlplane

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed pool-delete.yaml
var poolDeleteManifest []byte

// PoolDelete proves: deleting a pool in use is refused with its users named, the first ten of them;
// so is taking their addresses out of it. Once they are gone the pool goes.
var PoolDelete = behaviours.Behaviour{ID: "pool-delete", Manifest: poolDeleteManifest, Test: poolDelete}

func poolDelete(t *testing.T, e *behaviours.Env) {
	const name = "pool-delete-pool"
	for i := range 12 {
		e.Create(t, behaviours.NewPod("pool-delete", fmt.Sprintf("user-%02d", i), behaviours.FromPools([]string{name}, nil)))
	}
	awaitSettled(t, e, name, 12)

	var users []string
	for i := range 10 {
		users = append(users, fmt.Sprintf("10.10.0.%d (pool-delete/user-%02d)", i+1, i))
	}
	want := `admission webhook "spiderippools.spiderpool.spidernet.io" denied the request: ` +
		`deleting pool "pool-delete-pool": 12 addresses are in use: ` + strings.Join(users, ", ") + " and 2 more"
	pool := e.Pool(t, name)
	if err := e.Client.Delete(t.Context(), pool); err == nil || err.Error() != want {
		t.Errorf("deleting says\n  %v\nwant\n  %s", err, want)
	}

	shrunk := pool.DeepCopy()
	shrunk.Spec.IPs = []string{"10.10.0.1-10.10.0.11"}
	err := e.Client.Patch(t.Context(), shrunk, client.MergeFrom(pool))
	if want := "spec.ips: Forbidden: takes out addresses in use: 10.10.0.12 (pool-delete/user-11)"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("shrinking says\n  %v\nwant\n  … %s", err, want)
	}

	e.DeleteAll(t, "pool-delete")
	e.AwaitTaken(t, name, 0)
	if err := e.Client.Delete(t.Context(), pool); err != nil {
		t.Fatalf("deleting the pool when it is empty: %v", err)
	}
	behaviours.Eventually(t, behaviours.Grace, func(ctx context.Context) error {
		err := e.Client.Get(ctx, client.ObjectKeyFromObject(pool), &crdv1.SpiderIPPool{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("the pool is still there: %w", err)
	})
}
