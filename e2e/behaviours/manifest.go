package behaviours

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/install"
)

// Apply makes the objects of a manifest, and waits until its namespaces can take pods and its pools
// are Ready.
func (e *Env) Apply(t *testing.T, manifest []byte) {
	t.Helper()
	objects, err := install.Objects(manifest)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if err := e.Client.Create(t.Context(), o); err != nil {
			t.Fatalf("creating %s %q: %v", o.GetKind(), o.GetName(), err)
		}
		if o.GetKind() == "Namespace" {
			e.awaitServiceAccount(t, o.GetName())
		}
	}
	for _, o := range objects {
		if o.GetKind() == "SpiderIPPool" {
			e.AwaitReady(t, o.GetName())
		}
	}
}

// awaitServiceAccount waits for what the API server wants of a namespace before it takes pods.
func (e *Env) awaitServiceAccount(t *testing.T, namespace string) {
	t.Helper()
	Eventually(t, Patience, func(ctx context.Context) error {
		return e.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, &corev1.ServiceAccount{})
	})
}

// Pool reads a pool.
func (e *Env) Pool(t *testing.T, name string) *crdv1.SpiderIPPool {
	t.Helper()
	var pool crdv1.SpiderIPPool
	if err := e.Client.Get(t.Context(), client.ObjectKey{Name: name}, &pool); err != nil {
		t.Fatal(err)
	}
	return &pool
}

// AwaitReady waits until a pool is Ready as its spec stands.
func (e *Env) AwaitReady(t *testing.T, name string) {
	t.Helper()
	e.AwaitPool(t, name, func(pool *crdv1.SpiderIPPool) error {
		c := meta.FindStatusCondition(pool.Status.Conditions, crdv1.ConditionReady)
		if c == nil || c.Status != "True" || c.ObservedGeneration != pool.Generation {
			return fmt.Errorf("not Ready at generation %d: %+v", pool.Generation, c)
		}
		return nil
	})
}

// AwaitPool waits until a pool is as wanted.
func (e *Env) AwaitPool(t *testing.T, name string, wanted func(*crdv1.SpiderIPPool) error) {
	t.Helper()
	Eventually(t, Patience, func(ctx context.Context) error {
		var pool crdv1.SpiderIPPool
		if err := e.Client.Get(ctx, client.ObjectKey{Name: name}, &pool); err != nil {
			return err
		}
		if err := wanted(&pool); err != nil {
			return fmt.Errorf("pool %q: %w", name, err)
		}
		return nil
	})
}

// AwaitTaken waits until a pool counts n addresses as taken.
func (e *Env) AwaitTaken(t *testing.T, name string, n int64) {
	t.Helper()
	e.AwaitPool(t, name, func(pool *crdv1.SpiderIPPool) error {
		if got := pool.Status.AllocatedIPCount; got == nil || *got != n {
			return fmt.Errorf("status is %+v, want %d addresses taken", pool.Status, n)
		}
		return nil
	})
}
