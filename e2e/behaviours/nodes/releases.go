package nodes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

// releases are when the pods of a pool ended, and when their addresses were free.
type releases struct {
	all int // of them there are

	mu    sync.Mutex
	ended map[netip.Addr]time.Time // address -> its pod was seen finished or gone
	freed map[netip.Addr]time.Time // address -> it was seen free
	err   error
}

// watchReleases watches pods, which are all that have addresses of the pool.
func watchReleases(t *testing.T, e *behaviours.Env, pool string, pods []corev1.Pod) *releases {
	t.Helper()
	r := &releases{all: len(pods), ended: map[netip.Addr]time.Time{}, freed: map[netip.Addr]time.Time{}}
	addresses := behaviours.Addresses(pods)
	e.Follow(t, e.Pool(t, pool), func(p *crdv1.SpiderIPPool) {
		record, err := behaviours.RecordOf(p)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.err == nil && err != nil {
			r.err = err
		}
		for a := range addresses {
			if _, ok := r.freed[a]; !ok && err == nil && !record.Contains(a) {
				r.freed[a] = time.Now()
			}
		}
	})
	stream, err := e.Client.Watch(t.Context(), &corev1.PodList{}, &client.ListOptions{
		Namespace: pods[0].Namespace, Raw: &metav1.ListOptions{ResourceVersion: pods[0].ResourceVersion},
	})
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() { r.see(stream, pool) })
	t.Cleanup(func() { stream.Stop(); done.Wait() })
	return r
}

func (r *releases) see(stream watch.Interface, pool string) {
	for event := range stream.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			return // an error event; print will miss an end and say so
		}
		if event.Type != watch.Deleted && !finished(pod) {
			continue
		}
		claims, _ := crdv1.ClaimsOf(pod.Annotations)
		r.mu.Lock()
		for _, c := range claims {
			if _, ok := r.ended[c.Address]; !ok && c.Pool == pool {
				r.ended[c.Address] = time.Now()
			}
		}
		r.mu.Unlock()
	}
}

// finished reports whether a pod has a final phase and nothing of it runs.
func finished(pod *corev1.Pod) bool {
	return (pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed) &&
		!slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.State.Running != nil })
}

// print logs how long after the end of its pod each address was free. The two come by two watches,
// so a few milliseconds are their difference alone.
func (r *releases) print(t *testing.T) {
	t.Helper()
	behaviours.Eventually(t, behaviours.Patience, func(context.Context) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.freed) < r.all || len(r.ended) < r.all {
			return errors.Join(r.err, fmt.Errorf("of %d pods the end of %d was seen, and %d addresses free", r.all, len(r.ended), len(r.freed)))
		}
		return r.err
	})
	var delays []time.Duration
	for a, freed := range r.freed {
		delays = append(delays, freed.Sub(r.ended[a]).Round(time.Millisecond))
	}
	slices.Sort(delays)
	t.Logf("addresses free after the end of their pods: %v", delays)
}
