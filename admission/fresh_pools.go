package admission

import (
	"context"
	"fmt"
	"iter"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/admission/selection"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// freshPools are the pools of the cache, and in front of them what was read from the API server, for as long as that is newer. It
// serves one request.
type freshPools struct {
	cache  PoolLister
	live   client.Reader
	known  map[string]*crdv1.SpiderIPPool // name -> pool, nil where there was none
	listed bool
}

var _ PoolLister = (*freshPools)(nil)

func newFreshPools(cache PoolLister, live client.Reader) *freshPools {
	return &freshPools{cache: cache, live: live, known: map[string]*crdv1.SpiderIPPool{}}
}

// Pool implements PoolLister.
func (f *freshPools) Pool(name string) (*crdv1.SpiderIPPool, bool) {
	cached, ok := f.cache.Pool(name)
	if read := f.known[name]; read != nil && (!ok || newer(read, cached)) {
		return read, true
	}
	return cached, ok
}

// All implements PoolLister.
func (f *freshPools) All() iter.Seq[*crdv1.SpiderIPPool] {
	return func(yield func(*crdv1.SpiderIPPool) bool) {
		for cached := range f.cache.All() {
			pool := cached
			if read := f.known[cached.Name]; read != nil && newer(read, cached) {
				pool = read
			}
			if !yield(pool) {
				return
			}
		}
		for name, read := range f.known {
			if _, cached := f.cache.Pool(name); read != nil && !cached && !yield(read) {
				return
			}
		}
	}
}

// newer reports whether a is newer than b. Versions that cannot be compared are of a cache that is as good as any.
func newer(a, b *crdv1.SpiderIPPool) bool {
	order, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion)
	return err == nil && order > 0
}

// read reads what the refusal rests on and was not read before. It reports whether there was such a thing.
func (f *freshPools) read(ctx context.Context, r *selection.Refusal) (bool, error) {
	names := r.Pools
	if r.AllPools && !f.listed {
		changed, err := f.changed(ctx)
		if err != nil {
			return false, err
		}
		f.listed = true
		names = append(names[:len(names):len(names)], changed...)
	}
	news := false
	for _, name := range names {
		if _, done := f.known[name]; done {
			continue
		}
		news = true
		pool := &crdv1.SpiderIPPool{}
		err := f.live.Get(ctx, client.ObjectKey{Name: name}, pool)
		switch {
		case apierrors.IsNotFound(err):
			pool = nil
		case err != nil:
			return false, fmt.Errorf("reading pool %q: %w", name, err)
		}
		f.known[name] = pool
	}
	return news, nil
}

// changed returns the names of the pools that the cache does not know, or not with their present spec. Only metadata is asked for:
// the status of large pools is large.
func (f *freshPools) changed(ctx context.Context) ([]string, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(crdv1.GroupVersion.WithKind("SpiderIPPoolList"))
	if err := f.live.List(ctx, list); err != nil {
		return nil, fmt.Errorf("listing pools: %w", err)
	}
	var names []string
	for i := range list.Items {
		item := &list.Items[i]
		cached, ok := f.cache.Pool(item.Name)
		if !ok || cached.UID != item.UID || cached.Generation < item.Generation {
			names = append(names, item.Name)
		}
	}
	return names, nil
}
