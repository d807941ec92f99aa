package ledger

import (
	"context"
	"fmt"
	"sync"

	"go4.org/netipx"
	"k8s.io/client-go/tools/cache"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Watched are the pools that a watch has shown, without copying them: a large
// pool is read at each of its writes.
type Watched struct {
	store cache.Store
}

var _ Pools = (*Watched)(nil)

// Watch returns the pools of a cache.
func Watch(ctx context.Context, c ctrlcache.Cache) (*Watched, error) {
	informer, err := informerOf(ctx, c, &crdv1.SpiderIPPool{})
	if err != nil {
		return nil, err
	}
	return &Watched{store: informer.GetStore()}, nil
}

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

// List returns all pools, in no order. They MUST NOT be changed.
func (w *Watched) List() []*crdv1.SpiderIPPool {
	objects := w.store.List()
	pools := make([]*crdv1.SpiderIPPool, 0, len(objects))
	for _, o := range objects {
		if p, ok := o.(*crdv1.SpiderIPPool); ok {
			pools = append(pools, p)
		}
	}
	return pools
}

// Never are the addresses of all SpiderReservedIPs, as a watch has shown them.
type Never struct {
	mu      sync.Mutex
	byName  map[string][]netipx.IPRange // SpiderReservedIP -> its addresses
	all     []netipx.IPRange
	version uint64
}

// WatchNever returns the addresses of the SpiderReservedIPs of a cache.
func WatchNever(ctx context.Context, c ctrlcache.Cache) (*Never, error) {
	informer, err := informerOf(ctx, c, &crdv1.SpiderReservedIP{})
	if err != nil {
		return nil, err
	}
	n := &Never{byName: map[string][]netipx.IPRange{}}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    n.set,
		UpdateFunc: func(_, after any) { n.set(after) },
		DeleteFunc: n.remove,
	})
	return n, err
}

// Ranges returns the addresses and a number that changes with them: what
// Options.Never wants.
func (n *Never) Ranges() ([]netipx.IPRange, uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all, n.version
}

func (n *Never) set(object any) {
	r, ok := object.(*crdv1.SpiderReservedIP)
	if !ok {
		return
	}
	list, err := ranges("spec.ips", r.Spec.IPs)
	if err != nil {
		return // admission refuses such a one; what cannot be read reserves nothing
	}
	n.update(r.Name, list)
}

func (n *Never) remove(object any) {
	if name, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
		n.update(name, nil)
	}
}

func (n *Never) update(name string, list []netipx.IPRange) {
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
