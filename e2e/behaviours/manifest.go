package behaviours

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Objects reads all objects of a manifest.
func Objects(manifest []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)
	for {
		var o unstructured.Unstructured
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading a manifest: %w", err)
		}
		if len(o.Object) > 0 {
			objects = append(objects, &o)
		}
	}
}

// Apply makes the objects of a manifest, and waits until its namespaces can
// take pods and its pools are Ready.
func (e *Env) Apply(t *testing.T, manifest []byte) {
	t.Helper()
	objects, err := Objects(manifest)
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

// awaitServiceAccount waits for what the API server wants of a namespace
// before it takes pods.
func (e *Env) awaitServiceAccount(t *testing.T, namespace string) {
	t.Helper()
	Eventually(t, patience, func(ctx context.Context) error {
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
	Eventually(t, patience, func(ctx context.Context) error {
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
