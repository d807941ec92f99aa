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

// Arrivals knows of many a reservation that no pod has come for it and vanished.
// Every replica keeps it, so that the next leader knows it of the time before.
//
// The proof needs no clock and compares no revisions of different resources, only
// what happened first:
//
//	all pods were listed, and the watch goes on from there without a gap
//	then all pools were read, and the reservation was not in any of them
//	so it was made later, and its pod, if there ever was one, came later still:
//	each event of that pod is in the watch
//
// A new list of all pods is a gap. It makes what was read of the pools void, and
// they are read again after it.
//
// A token is given to one pod. That of a pod that is bound late may be reserved
// again, but is only ever written to that very pod, which must be there then.
//
// nil knows nothing. It is safe for concurrent use.
type Arrivals struct {
	claims  podLists
	awaited ReadAwaited

	mu       sync.Mutex
	lists    uint64                   // of pods, when the pools were read; 0: they were not
	before   Awaited                  // what stood then: of that nothing is known
	vanished map[allocator.Token]bool // of pods that vanished since
	overflew bool                     // there were too many of them to remember since the pools were last asked for
	told     uint64                   // the highest revision of a pod that this was told of
}

// podLists is what Arrivals asks about the view of the pods: *Claims.
type podLists interface {
	Lists() uint64
	Listed() (count uint64, answered bool)
	AddEventHandler(h cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error)
}

// ReadAwaited reads all pools. It MUST be a consistent read, never one of a cache.
type ReadAwaited func(context.Context) (Awaited, error)

// Awaited are the reservations that stand in all pools. It is not changed.
type Awaited struct {
	Tokens     map[allocator.Token]bool
	Unreadable map[string]bool // pools that may have any others
}

// Arrival is what is known about the pod of a reservation.
type Arrival int

const (
	// MayHaveVanished says that a pod may have come and vanished unseen, or did so.
	MayHaveVanished Arrival = iota
	// NotToldYet says that Arrivals must be asked again: the watch has brought
	// events that it was not told of.
	NotToldYet
	// NoneVanished says that no pod came, or it is in view, or its end was seen.
	NoneVanished
)

var (
	_ manager.Runnable               = (*Arrivals)(nil)
	_ manager.LeaderElectionRunnable = (*Arrivals)(nil)
	_ cache.ResourceEventHandler     = (*Arrivals)(nil)
)

// NewArrivals returns one that knows nothing until Start. claims, a *Claims, is
// best not started yet, so that this is told of all that it receives.
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
	// maxVanished bounds what is remembered.
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

// NeedLeaderElection says that every replica watches: the next leader is one.
func (*Arrivals) NeedLeaderElection() bool { return false }

// Look reads the pools if that is due: all pods were listed, and the pools were
// not read since, or too much was to be remembered. It is not called
// concurrently.
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
	if !a.overflew {
		a.lists, a.before = lists, before // if pods were listed again meanwhile, Of finds out
	}
	return nil
}

// begin reports whether the pools are to be read. What vanishes from here on is
// remembered: what did before, stands in the pools, or in vain.
func (a *Arrivals) begin(lists uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lists == lists {
		return false
	}
	a.lists, a.before, a.overflew = 0, Awaited{}, false
	clear(a.vanished)
	return true
}

// Of returns what is known about the pod of a reservation that stands in a pool.
// through is the revision of the pods up to which this must have been told of what
// the watch has received.
func (a *Arrivals) Of(pool string, token allocator.Token, through uint64) Arrival {
	if a == nil {
		return MayHaveVanished
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.lists == 0 || a.lists != a.claims.Lists(), a.before.Tokens[token], a.before.Unreadable[pool], a.vanished[token]:
		return MayHaveVanished
	case a.told < through:
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

// OnUpdate notes pods that another of their name has replaced, and those that do
// not carry any more what they have carried on a node.
func (a *Arrivals) OnUpdate(before, after any) {
	o, ok1 := before.(*Pod)
	p, ok2 := after.(*Pod)
	if !ok1 || !ok2 {
		return
	}
	var vanished *Pod
	switch {
	case o.UID != p.UID: // the watch jumped over the end of the first
		if o.Live() {
			vanished = o
		}
	case p.Node != "" && (o.Token != p.Token || !slices.Equal(o.Claims, p.Claims)):
		vanished = o
	}
	a.note(vanished, p.Revision)
}

// OnDelete notes a pod that was on a node and not seen finished. Where the watch
// jumped over the end, it may have been bound to one since.
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

// note notes that this was told of all up to a revision, and of a pod that
// vanished, if there is one.
func (a *Arrivals) note(vanished *Pod, revision uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = max(a.told, revision)
	if vanished == nil || vanished.Token == "" {
		return
	}
	if len(a.vanished) >= maxVanished {
		a.lists, a.before, a.overflew = 0, Awaited{}, true
		clear(a.vanished)
	}
	a.vanished[allocator.Token(vanished.Token)] = true
}
