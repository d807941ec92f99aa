package ledger

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"go4.org/netipx"
	"k8s.io/client-go/tools/cache"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Watched are the pools that a watch has shown, without copying them: a large pool is read at each
// of its writes.
type Watched struct {
	store   cache.Store
	synced  cache.InformerSynced
	decoder *Decoder
}

var _ Pools = (*Watched)(nil)

// Watch returns the pools of a cache. It calls changed, which MUST NOT block, after each change.
func Watch(ctx context.Context, c ctrlcache.Cache, changed func()) (*Watched, error) {
	informer, err := informerOf(ctx, c, &crdv1.SpiderIPPool{})
	if err != nil {
		return nil, err
	}
	w := &Watched{store: informer.GetStore(), decoder: &Decoder{}}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(any, any) { changed() },
		DeleteFunc: func(object any) {
			if name, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
				w.decoder.forget(name)
			}
			changed()
		},
	})
	if err != nil {
		return nil, err
	}
	w.synced = registration.HasSynced
	return w, nil
}

// Decoder reads the pools that the watch shows.
func (w *Watched) Decoder() *Decoder { return w.decoder }

// Synced reports whether all pools were listed once.
func (w *Watched) Synced() bool { return w.synced() }

func informerOf(ctx context.Context, c ctrlcache.Cache, object client.Object) (cache.SharedIndexInformer, error) {
	informer, err := c.GetInformer(ctx, object, ctrlcache.BlockUntilSynced(false))
	if err != nil {
		return nil, err
	}
	shared, ok := informer.(cache.SharedIndexInformer)
	if !ok {
		return nil, fmt.Errorf("the cache's informer of %T is a %T", object, informer)
	}
	return shared, nil
}

// Pool returns a pool by name. It MUST NOT be changed.
func (w *Watched) Pool(name string) (*crdv1.SpiderIPPool, bool) {
	object, ok, err := w.store.GetByKey(name)
	if !ok || err != nil {
		return nil, false
	}
	pool, ok := object.(*crdv1.SpiderIPPool)
	return pool, ok
}

// All yields all pools, in no order. They MUST NOT be changed.
func (w *Watched) All() iter.Seq[*crdv1.SpiderIPPool] {
	return func(yield func(*crdv1.SpiderIPPool) bool) {
		for _, object := range w.store.List() {
			if pool, ok := object.(*crdv1.SpiderIPPool); ok && !yield(pool) {
				return
			}
		}
	}
}

// ReservedRanges are the addresses of all SpiderReservedIPs, as a watch has shown them.
type ReservedRanges struct {
	synced cache.InformerSynced

	mu      sync.Mutex
	byName  map[string][]netipx.IPRange // SpiderReservedIP -> its addresses
	all     []netipx.IPRange
	version uint64
}

// WatchReservedRanges returns the addresses of the SpiderReservedIPs of a cache.
func WatchReservedRanges(ctx context.Context, c ctrlcache.Cache) (*ReservedRanges, error) {
	informer, err := informerOf(ctx, c, &crdv1.SpiderReservedIP{})
	if err != nil {
		return nil, err
	}
	n := &ReservedRanges{byName: map[string][]netipx.IPRange{}}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    n.set,
		UpdateFunc: func(_, after any) { n.set(after) },
		DeleteFunc: n.remove,
	})
	if err != nil {
		return nil, err
	}
	n.synced = registration.HasSynced
	return n, nil
}

// Synced reports whether all SpiderReservedIPs were listed once.
func (n *ReservedRanges) Synced() bool { return n.synced() }

// Ranges returns the addresses and a number that changes with them: what Options.ReservedRanges
// wants.
func (n *ReservedRanges) Ranges() ([]netipx.IPRange, uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all, n.version
}

func (n *ReservedRanges) set(object any) {
	r, ok := object.(*crdv1.SpiderReservedIP)
	if !ok {
		return
	}
	list, err := ranges("spec.ips", r.Spec.IPs)
	if err != nil {
		return // admission refuses such a one; what it said before still holds
	}
	n.update(r.Name, list)
}

func (n *ReservedRanges) remove(object any) {
	if name, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
		n.update(name, nil)
	}
}

func (n *ReservedRanges) update(name string, list []netipx.IPRange) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.byName, name)
	if len(list) > 0 {
		n.byName[name] = list
	}
	n.version++
	n.all = nil // a new slice: callers keep the old one
	for _, l := range n.byName {
		n.all = append(n.all, l...)
	}
}
