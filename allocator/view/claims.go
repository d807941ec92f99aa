package view

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Claims is the index of pods by the addresses that their annotations claim. It follows a watch, so
// it lags behind; Revision says up to where it is complete. It is safe for concurrent use.
type Claims struct {
	client   kubernetes.Interface
	informer cache.SharedIndexInformer
	listed   atomic.Pointer[listing] // the last list of all pods that was begun
	received atomic.Uint64           // the highest revision of a pod that the watch has brought
}

// listing is a list of all pods that was begun. It is never changed.
type listing struct {
	count uint64 // of lists, this one included
	after uint64 // revision that the watch before it had come to
}

const (
	byAddress = "address"
	byPool    = "pool"
	byForeign = "foreign"
	byWaiting = "waiting"
	byLeft    = "leftover"
)

var (
	_ manager.Runnable               = (*Claims)(nil)
	_ manager.LeaderElectionRunnable = (*Claims)(nil)
)

// NewClaims returns an index that is empty until Start.
func NewClaims(client kubernetes.Interface) (*Claims, error) {
	c := &Claims{client: client}
	c.listed.Store(&listing{})
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(c.receive), informers.WithTweakListOptions(c.countLists))
	c.informer = factory.Core().V1().Pods().Informer()
	err := c.informer.AddIndexers(cache.Indexers{
		byAddress: keys(func(p *Pod) []string {
			return uniqueKeys(p.Claims, func(c crdv1.Claim) string { return c.Address.String() })
		}),
		byPool:    keys(func(p *Pod) []string { return uniqueKeys(p.Claims, func(c crdv1.Claim) string { return c.Pool }) }),
		byForeign: keys(func(p *Pod) []string { return uniqueKeys(p.Foreign, netip.Addr.String) }),
		byWaiting: keys(func(p *Pod) []string {
			if p.Waits() {
				return []string{byWaiting}
			}
			return nil
		}),
		byLeft: keys(func(p *Pod) []string {
			if p.LeftOver() {
				return []string{byLeft}
			}
			return nil
		}),
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// countLists counts the lists of all pods. A watch sets AllowWatchBookmarks, a list does not; a
// watch that starts with all pods sets SendInitialEvents.
func (c *Claims) countLists(o *metav1.ListOptions) {
	if !o.AllowWatchBookmarks || o.SendInitialEvents != nil && *o.SendInitialEvents {
		c.listed.Store(&listing{count: c.Lists() + 1, after: c.reflected()})
	}
}

// Lists returns how often all pods were listed. Between two lists pods may have come and gone
// unseen; while the number stays the same, none has.
func (c *Claims) Lists() uint64 { return c.listed.Load().count }

// Listed returns how often all pods were listed, and whether the API server has surely answered the
// last of these lists: all that pods did since that answer is shown to the view, sooner or later,
// for as long as Lists stays the same. Where a list shows nothing new it becomes sure with the next
// event or bookmark only, within a minute.
func (c *Claims) Listed() (count uint64, answered bool) {
	last := c.listed.Load()
	return last.count, c.reflected() > last.after // nothing else moves it while a list is under way
}

// reflected returns the revision that the list and the watch have come to; the store may be behind
// it. It is 0 before the first list.
func (c *Claims) reflected() uint64 {
	revision, err := strconv.ParseUint(c.informer.LastSyncResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return revision
}

// Received returns the highest revision of a pod that the watch has delivered. Everything up to
// Revision was received, but may not have reached all handlers yet.
func (c *Claims) Received() uint64 { return c.received.Load() }

// receive is the transform of the informer: it keeps what is needed of a pod, and records its
// revision.
func (c *Claims) receive(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil // a *Pod already, or a tombstone
	}
	p, err := NewPod(pod)
	if err != nil {
		return nil, err
	}
	for seen := c.received.Load(); seen < p.Revision && !c.received.CompareAndSwap(seen, p.Revision); {
		seen = c.received.Load()
	}
	return p, nil
}

func keys(of func(*Pod) []string) cache.IndexFunc {
	return func(object any) ([]string, error) {
		pod, ok := object.(*Pod)
		if !ok {
			return nil, errors.New("the pod informer holds something that is not a Pod")
		}
		return of(pod), nil
	}
}

// uniqueKeys returns f of each element, without duplicates.
func uniqueKeys[T any](all []T, f func(T) string) []string {
	list := make([]string, 0, len(all))
	for _, e := range all {
		if key := f(e); !slices.Contains(list, key) {
			list = append(list, key)
		}
	}
	return list
}

// Start runs the informer until ctx ends.
func (c *Claims) Start(ctx context.Context) error {
	c.informer.RunWithContext(ctx)
	return nil
}

// NeedLeaderElection returns false, since every replica keeps the index: admission names the pods
// that use an address, and a new leader starts with a warm cache.
func (*Claims) NeedLeaderElection() bool { return false }

// Synced reports whether all pods were listed once (I11).
func (c *Claims) Synced() bool { return c.informer.HasSynced() }

// Revision returns the resourceVersion of the pods that lookups see. It is that of the store: event
// handlers may lag behind it, and the watch may be ahead.
func (c *Claims) Revision() uint64 {
	revision, err := strconv.ParseUint(c.informer.GetStore().LastStoreSyncResourceVersion(), 10, 64)
	if err != nil {
		return 0 // nothing was listed yet
	}
	return revision
}

// Live returns the live pods that claim an address, from any pool.
func (c *Claims) Live(a netip.Addr) []*Pod {
	return slices.DeleteFunc(c.find(byAddress, a.String()), (*Pod).done)
}

// UsedBy reports whether a live pod claims an address, or has it from another IPAM (I7).
func (c *Claims) UsedBy(a netip.Addr) bool {
	key := a.String()
	return slices.ContainsFunc(c.find(byAddress, key), (*Pod).Live) || slices.ContainsFunc(c.find(byForeign, key), (*Pod).Live)
}

// Waiting returns the pods that have no address and may be given one.
func (c *Claims) Waiting() []*Pod { return c.find(byWaiting, byWaiting) }

// LeftOver returns the pods that no longer wait for addresses but look as if they did.
func (c *Claims) LeftOver() []*Pod { return c.find(byLeft, byLeft) }

// Carrier returns the pod that claims an address of a pool by a reservation, in the namespace of
// the reservation; a live pod is preferred. Where the reservation names a pod, only that one.
func (c *Claims) Carrier(pool string, a netip.Addr, r allocator.Reservation) (*Pod, bool) {
	var carrier *Pod
	for _, p := range c.find(byAddress, a.String()) {
		if p.Token != string(r.Token) || !p.MayCarry(r) || !p.Carries(pool, a) {
			continue
		}
		if p.Live() {
			return p, true
		}
		carrier = p
	}
	return carrier, carrier != nil
}

// MayCarry reports whether a reservation can belong to the pod: it is for the pod's namespace and,
// where it names a pod, for this one.
func (p *Pod) MayCarry(r allocator.Reservation) bool {
	return p.Namespace == r.Pod.Namespace && (!r.LateBound() || p.Name == r.Pod.Name && string(p.UID) == r.Pod.UID)
}

// Claimants returns the live pods that claim addresses of a pool.
func (c *Claims) Claimants(pool string) []*Pod {
	return slices.DeleteFunc(c.find(byPool, pool), (*Pod).done)
}

// Pools returns the names of the pools that pods claim addresses of, whether these pools exist or
// not.
func (c *Claims) Pools() []string {
	return slices.Sorted(slices.Values(c.informer.GetIndexer().ListIndexFuncValues(byPool)))
}

// UsersOf returns the live pods, as namespace/name, that claim addresses of a pool.
func (c *Claims) UsersOf(pool string) map[netip.Addr][]string {
	users := map[netip.Addr][]string{}
	for _, p := range c.Claimants(pool) {
		for _, claim := range p.Claims {
			if claim.Pool == pool {
				users[claim.Address] = append(users[claim.Address], p.String())
			}
		}
	}
	for _, names := range users {
		slices.Sort(names)
	}
	return users
}

// Get returns a pod by namespace and name.
func (c *Claims) Get(key string) (*Pod, bool) {
	object, ok, err := c.informer.GetStore().GetByKey(key)
	if !ok || err != nil {
		return nil, false
	}
	pod, ok := object.(*Pod)
	return pod, ok
}

// AddEventHandler registers a handler for all pods of the index, and then for the events of the
// watch. Objects are *Pod.
func (c *Claims) AddEventHandler(h cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	return c.informer.AddEventHandler(h)
}

func (c *Claims) find(index, key string) []*Pod {
	objects, err := c.informer.GetIndexer().ByIndex(index, key)
	if err != nil { // no such index; NewClaims created all of them
		panic(err)
	}
	pods := make([]*Pod, 0, len(objects))
	for _, o := range objects {
		if p, ok := o.(*Pod); ok {
			pods = append(pods, p)
		}
	}
	return pods
}

func (p *Pod) done() bool { return p.Finished }
