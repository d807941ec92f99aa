package check

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Watch sees every change of every pod from its start on.
type Watch struct {
	client client.WithWatch
	cancel context.CancelFunc
	done   chan struct{}
	since  atomic.Value // string, the revision up to which everything was seen; written by run only
	err    error        // why it stopped; written before done is closed

	mu      sync.Mutex
	doubles *doubles
}

// patience limits how far the watch may lag behind.
const patience = 30 * time.Second

// ErrGap means that changes were missed: an API server that was restarted does not have the
// history.
var ErrGap = errors.New("the watch lost changes")

// Start starts to watch pods.
func Start(ctx context.Context, c client.WithWatch) (*Watch, error) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods); err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &Watch{client: c, cancel: cancel, done: make(chan struct{}), doubles: newDoubles()}
	w.since.Store(pods.ResourceVersion)
	for i := range pods.Items {
		w.doubles.see(&pods.Items[i])
	}
	go func() {
		defer close(w.done)
		w.err = w.run(ctx)
	}()
	return w, nil
}

// Stop waits until the watch has caught up with the present, ends it, and returns every double that
// existed at any moment. An error means that it did not see everything.
func (w *Watch) Stop(ctx context.Context) ([]Violation, error) {
	var behind error
	err := wait.PollUntilContextTimeout(ctx, poll, patience, true, func(ctx context.Context) (bool, error) {
		select {
		case <-w.done:
			return true, nil // its own error says why
		default:
			behind = w.upToDate(ctx)
			return behind == nil, nil
		}
	})
	if err != nil {
		err = fmt.Errorf("%w: %w", err, behind)
	}
	w.cancel()
	<-w.done
	if w.err == nil && err != nil {
		w.err = fmt.Errorf("waiting for the watch to see the pods as they are: %w", err)
	}
	return w.doubles.found, w.err
}

// Lost reports whether the watch has ended early: changes were missed.
func (w *Watch) Lost() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// Abandon ends the watch at once, and returns every double that it saw.
func (w *Watch) Abandon() []Violation {
	w.cancel()
	<-w.done
	return w.doubles.found
}

// upToDate returns an error that says how the pods last seen differ from the present ones.
func (w *Watch) upToDate(ctx context.Context) error {
	var pods corev1.PodList
	if err := w.client.List(ctx, &pods); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, pod := range pods.Items {
		if seen := w.doubles.seen[pod.UID]; seen != pod.ResourceVersion {
			return fmt.Errorf("pod %s/%s was seen at revision %q and is at %s; the watch is at %s", pod.Namespace, pod.Name, seen, pod.ResourceVersion, w.at())
		}
	}
	if n := len(w.doubles.seen); n != len(pods.Items) {
		return fmt.Errorf("%d pods were seen, %d are there; the watch is at %s", n, len(pods.Items), w.at())
	}
	return nil
}

// at returns the revision up to which everything was seen.
func (w *Watch) at() string {
	revision, _ := w.since.Load().(string) // nothing else is stored
	return revision
}

// run watches again from where it was whenever the API server ends a watch, even by a restart.
func (w *Watch) run(ctx context.Context) error {
	for ctx.Err() == nil {
		stream, err := w.client.Watch(ctx, &corev1.PodList{}, &client.ListOptions{Raw: &metav1.ListOptions{
			ResourceVersion: w.at(), AllowWatchBookmarks: true,
		}})
		switch {
		case err == nil:
			err := w.follow(stream)
			stream.Stop()
			if err != nil {
				return err
			}
		case apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
			return fmt.Errorf("watching pods from revision %s: %w: %w", w.at(), ErrGap, err)
		}
		select { // the API server may be restarting; do not spin
		case <-ctx.Done():
		case <-time.After(poll):
		}
	}
	return nil
}

func (w *Watch) follow(stream watch.Interface) error {
	for event := range stream.ResultChan() {
		if event.Type == watch.Error {
			if err := apierrors.FromObject(event.Object); apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
				return fmt.Errorf("watching pods from revision %s: %w: %w", w.at(), ErrGap, err)
			}
			return nil // the connection broke; the next watch continues from there
		}
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			return fmt.Errorf("watching pods from revision %s: %w: got a %T", w.at(), ErrGap, event.Object)
		}
		w.mu.Lock()
		switch event.Type {
		case watch.Deleted:
			w.doubles.gone(pod.UID)
		case watch.Added, watch.Modified:
			w.doubles.see(pod)
		case watch.Bookmark, watch.Error:
		}
		w.mu.Unlock()
		w.since.Store(pod.ResourceVersion)
	}
	return nil
}
