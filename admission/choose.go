package admission

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/admission/selection"
)

// choose asks package selection, first of what the caches say. Where that is a refusal, it asks again of what the API server says,
// and then, for as long as that can help, at each change of a pool.
func (d *PodDefaulter) choose(ctx context.Context, pod *corev1.Pod, namespace string) (selection.Selection, error) {
	ns, err := d.namespace(ctx, namespace)
	if err != nil {
		return selection.Selection{}, err
	}
	if d.o.Config.IgnoredNamespaces.Matches(labels.Set(ns.Labels)) {
		return selection.Selection{}, nil
	}
	s := selection.Snapshot{Pod: pod, Namespace: ns, Config: d.o.Config, Pools: d.o.Pools}
	chosen, err := selection.Choose(s)
	if err == nil {
		return chosen, nil
	}
	changed := d.o.Changes.Changed() // before looking again, so that no change is missed
	if chosen, err = d.confirm(ctx, &s, err); err == nil {
		return chosen, nil
	}
	return d.await(ctx, s, changed, err)
}

// namespace reads the namespace of the request. One that was made a moment ago may not be in the cache.
func (d *PodDefaulter) namespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	ns := &corev1.Namespace{}
	err := d.o.Cached.Get(ctx, client.ObjectKey{Name: name}, ns)
	if apierrors.IsNotFound(err) {
		err = d.o.Live.Get(ctx, client.ObjectKey{Name: name}, ns)
	}
	if err != nil {
		return nil, fmt.Errorf("reading namespace %q: %w", name, err)
	}
	return ns, nil
}

// confirm chooses again after it has read from the API server what the refusal rests on (I12). That may lead to another refusal,
// which rests on more; reading ends when it rests on nothing new.
func (d *PodDefaulter) confirm(ctx context.Context, s *selection.Snapshot, err error) (selection.Selection, error) {
	ns := &corev1.Namespace{}
	if err := d.o.Live.Get(ctx, client.ObjectKey{Name: s.Namespace.Name}, ns); err != nil {
		return selection.Selection{}, fmt.Errorf("reading namespace %q: %w", s.Namespace.Name, err)
	}
	s.Namespace = ns
	fresh := newFreshPools(d.o.Pools, d.o.Live)
	s.Pools = fresh
	for {
		var refusal *selection.Refusal
		if !errors.As(err, &refusal) {
			return selection.Selection{}, err
		}
		news, readErr := fresh.read(ctx, refusal)
		if readErr != nil {
			return selection.Selection{}, readErr
		}
		chosen, again := selection.Choose(*s)
		if again == nil || !news {
			return chosen, again
		}
		err = again
	}
}

// await chooses again at each change of a pool, while a pool that nobody has looked at yet may still serve the pod.
func (d *PodDefaulter) await(ctx context.Context, s selection.Snapshot, changed <-chan struct{}, err error) (selection.Selection, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var refusal *selection.Refusal
		if !errors.As(err, &refusal) || !refusal.Undecided {
			return selection.Selection{}, err
		}
		select {
		case <-ctx.Done():
			return selection.Selection{}, err
		case <-changed:
		}
		changed = d.o.Changes.Changed()
		var chosen selection.Selection
		if chosen, err = selection.Choose(s); err == nil {
			return chosen, nil
		}
	}
}
