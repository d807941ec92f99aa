package view

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"spidernet.io/spiderpool/allocator"
)

// Arrivals can prove for many reservations that no pod has come for them and vanished. Every
// replica keeps it, so that a new leader can also prove it for the time before it led.
//
// The proof needs no clock and does not compare revisions of different resources, only the order of
// events:
//
//	all pods were listed, and the watch continues from there without a gap
//	then all pools were read, and none of them had the reservation
//	so it was made later, and its pod, if there ever was one, came later still:
//	each event of that pod is in the watch
//
// A new list of all pods is a gap. It invalidates what was read of the pools, and they are read
// again after it.
//
// A token belongs to one pod. The token of a pod that is bound late may be reserved again, but is
// only ever written to that same pod, which must exist then.
//
// A nil *Arrivals proves nothing. It is safe for concurrent use.
type Arrivals struct {
	claims  podLists
	awaited ReadAwaited

	mu         sync.Mutex
	lists      uint64                   // of pods, when the pools were read; 0: they were not read
	before     Awaited                  // the reservations at that time: nothing is known about them
	vanished   map[allocator.Token]bool // tokens of pods that have vanished since
	overflowed bool                     // more have vanished than can be remembered, since the pools were last read
	delivered  uint64                   // the highest revision of a pod that was delivered to the handler
}

// podLists is what Arrivals needs of the view of the pods: *Claims.
type podLists interface {
	Lists() uint64
	Listed() (count uint64, answered bool)
	AddEventHandler(h cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error)
}

// ReadAwaited reads all pools. It MUST be a consistent read, never one from a cache.
type ReadAwaited func(context.Context) (Awaited, error)

// Awaited are the reservations in all pools. It is immutable.
type Awaited struct {
	Tokens     map[allocator.Token]bool
	Unreadable map[string]bool // pools that may have others
}

// Arrival is what is known about the pod of a reservation.
type Arrival int

const (
	// MayHaveVanished says that a pod may have come and vanished unseen, or did so.
	MayHaveVanished Arrival = iota
	// NotToldYet says that the caller must ask again: the watch has received events that were not
	// delivered to Arrivals yet.
	NotToldYet
	// NoneVanished says that no pod came, or it still exists, or its end was seen.
	NoneVanished
)

var (
	_ manager.Runnable               = (*Arrivals)(nil)
	_ manager.LeaderElectionRunnable = (*Arrivals)(nil)
	_ cache.ResourceEventHandler     = (*Arrivals)(nil)
)

// NewArrivals returns an Arrivals that proves nothing until Start. claims, a *Claims, should not be
// started yet, so that all its events are delivered.
func NewArrivals(claims podLists, awaited ReadAwaited) (*Arrivals, error) {
	a := &Arrivals{claims: claims, awaited: awaited, vanished: map[allocator.Token]bool{}}
	_, err := claims.AddEventHandler(a)
	return a, err
}

const (
	// arrivalsInterval is how soon the pools are read after a list of all pods.
	arrivalsInterval = time.Second
	// arrivalsPause is how long to wait after they could not be read.
	arrivalsPause = 30 * time.Second
	// maxVanished limits how many tokens are remembered.
	maxVanished = 1 << 16
)

// Start reads the pools whenever that is due, until ctx ends.
func (a *Arrivals) Start(ctx context.Context) error {
	for {
		pause := arrivalsInterval
		if err := a.Look(ctx); err != nil {
			pause = arrivalsPause
			log.FromContext(ctx).Info("if this process comes to lead now, it holds the addresses that no pod came for", "why", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// NeedLeaderElection returns false, since every replica watches: one of them is the next leader.
func (*Arrivals) NeedLeaderElection() bool { return false }

// Look reads the pools if that is due: all pods were listed, and the pools were not read since, or
// too many pods had vanished to remember them. It MUST NOT be called concurrently.
func (a *Arrivals) Look(ctx context.Context) error {
	lists, answered := a.claims.Listed()
	if !answered || !a.begin(lists) {
		return nil
	}
	before, err := a.awaited(ctx)
	if err != nil {
		return fmt.Errorf("reading which pods all pools wait for: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.overflowed {
		a.lists, a.before = lists, before // if pods were listed again meanwhile, Of finds out
	}
	return nil
}

// begin reports whether the pools must be read. From here on it is remembered which pods vanish; a
// reservation of one that vanished before is either in the pools that are read next, or gone.
func (a *Arrivals) begin(lists uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lists == lists {
		return false
	}
	a.lists, a.before, a.overflowed = 0, Awaited{}, false
	clear(a.vanished)
	return true
}

// Of returns what is known about the pod of a reservation in a pool. through is the revision of the
// pods up to which events must have been delivered.
func (a *Arrivals) Of(pool string, token allocator.Token, through uint64) Arrival {
	if a == nil {
		return MayHaveVanished
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.lists == 0 || a.lists != a.claims.Lists(), a.before.Tokens[token], a.before.Unreadable[pool], a.vanished[token]:
		return MayHaveVanished
	case a.delivered < through:
		return NotToldYet
	}
	return NoneVanished
}

// OnAdd implements cache.ResourceEventHandler.
func (a *Arrivals) OnAdd(object any, _ bool) {
	if p, ok := object.(*Pod); ok {
		a.note(nil, p.Revision)
	}
}

// OnUpdate records pods that were replaced by another of the same name, and those that no longer
// carry what they carried on a node.
func (a *Arrivals) OnUpdate(before, after any) {
	o, ok1 := before.(*Pod)
	p, ok2 := after.(*Pod)
	if !ok1 || !ok2 {
		return
	}
	var vanished *Pod
	switch {
	case o.UID != p.UID: // the watch skipped the end of the first
		if o.Live() {
			vanished = o
		}
	case p.Node != "" && (o.Token != p.Token || !slices.Equal(o.Claims, p.Claims)):
		vanished = o
	}
	a.note(vanished, p.Revision)
}

// OnDelete records a pod that was on a node and not seen finished. If the watch skipped its end, it
// may have been bound to a node since.
func (a *Arrivals) OnDelete(object any) {
	switch o := object.(type) {
	case *Pod:
		if o.Live() && o.Node != "" {
			a.note(o, o.Revision)
			return
		}
		a.note(nil, o.Revision)
	case cache.DeletedFinalStateUnknown:
		if p, ok := o.Obj.(*Pod); ok && p.Live() {
			a.note(p, 0)
		}
	}
}

// note records the revision of an event, and the pod that vanished with it, if any.
func (a *Arrivals) note(vanished *Pod, revision uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.delivered = max(a.delivered, revision)
	if vanished == nil || vanished.Token == "" {
		return
	}
	if len(a.vanished) >= maxVanished {
		a.lists, a.before, a.overflowed = 0, Awaited{}, true
		clear(a.vanished)
	}
	a.vanished[allocator.Token(vanished.Token)] = true
}
