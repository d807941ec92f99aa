package checker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Watch sees every change of every pod from its start on.
type Watch struct {
	client client.WithWatch
	cancel context.CancelFunc
	done   chan struct{}
	ledger *doubles
	since  string // the revision up to which all is seen
	err    error  // why it stopped seeing; written before done is closed
}

// errGap means that changes went by unseen.
var errGap = errors.New("the watch lost changes")

// Start begins to watch pods.
func Start(ctx context.Context, c client.WithWatch) (*Watch, error) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods); err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &Watch{client: c, cancel: cancel, done: make(chan struct{}), ledger: newDoubles(), since: pods.ResourceVersion}
	for i := range pods.Items {
		w.ledger.see(&pods.Items[i])
	}
	go func() {
		defer close(w.done)
		w.err = w.run(ctx)
	}()
	return w, nil
}

// Stop ends the watch and returns every double that there was at any moment.
// An error means that it did not see everything.
func (w *Watch) Stop() ([]Violation, error) {
	w.cancel()
	<-w.done
	return w.ledger.found, w.err
}

// run watches again from where it was whenever the API server ends a watch,
// restarts of the API server included.
func (w *Watch) run(ctx context.Context) error {
	for ctx.Err() == nil {
		stream, err := w.client.Watch(ctx, &corev1.PodList{}, &client.ListOptions{Raw: &metav1.ListOptions{
			ResourceVersion: w.since, AllowWatchBookmarks: true,
		}})
		if err != nil {
			select { // the API server may be restarting; do not spin
			case <-ctx.Done():
			case <-time.After(poll):
			}
			continue
		}
		err = w.follow(stream)
		stream.Stop()
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *Watch) follow(stream watch.Interface) error {
	for event := range stream.ResultChan() {
		if event.Type == watch.Error {
			return fmt.Errorf("watching pods from revision %s: %w: %v", w.since, errGap, event.Object)
		}
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			return fmt.Errorf("watching pods from revision %s: %w: got a %T", w.since, errGap, event.Object)
		}
		switch event.Type {
		case watch.Deleted:
			w.ledger.forget(pod.UID)
		case watch.Added, watch.Modified:
			w.ledger.see(pod)
		case watch.Bookmark, watch.Error:
		}
		w.since = pod.ResourceVersion
	}
	return nil
}

// doubles knows at each moment who carries what.
type doubles struct {
	carried map[types.UID][]netip.Addr // live pod -> its addresses
	holders map[netip.Addr][]holder    // address -> live pods that carry it
	found   []Violation
}

func newDoubles() *doubles {
	return &doubles{carried: map[types.UID][]netip.Addr{}, holders: map[netip.Addr][]holder{}}
}

// see takes in the newest state of a pod.
func (d *doubles) see(pod *corev1.Pod) {
	if !live(pod) {
		d.forget(pod.UID)
		return
	}
	h := holderOf(pod)
	var addresses []netip.Addr
	for _, c := range h.claims {
		addresses = append(addresses, c.Address)
	}
	before := d.carried[pod.UID]
	if slices.Equal(before, addresses) {
		return
	}
	d.forget(pod.UID)
	d.carried[pod.UID] = addresses
	for _, a := range addresses {
		for _, other := range d.holders[a] {
			d.found = append(d.found, double(a, other, h))
		}
		d.holders[a] = append(d.holders[a], h)
	}
}

// forget takes in that a pod is finished or gone.
func (d *doubles) forget(uid types.UID) {
	for _, a := range d.carried[uid] {
		d.holders[a] = slices.DeleteFunc(d.holders[a], func(h holder) bool { return h.UID == uid })
		if len(d.holders[a]) == 0 {
			delete(d.holders, a)
		}
	}
	delete(d.carried, uid)
}
