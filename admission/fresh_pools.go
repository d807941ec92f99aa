package admission

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/admission/selection"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// maxPoolReads limits how many pools are read from the API server for one pod. A pod may name 128,
// and each of its admissions would read them all. Where more have changed, a list of metadata finds
// those, and the rest comes from the cache.
const maxPoolReads = 8

// freshPools overlays the cached pools with those read from the API server, where these are newer.
// It serves one request.
type freshPools struct {
	cache PoolLister
	live  client.Reader
	known map[string]*crdv1.SpiderIPPool // name -> pool; nil where it does not exist or the cache is used

	reads   int                          // of single pools
	listed  map[string]metav1.ObjectMeta // name -> metadata of all pools; nil before they were listed
	trusted int                          // pools taken from the cache although the API server has newer ones
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

// newer reports whether a is newer than b. Where versions cannot be compared, the cached one is as
// good as any.
func newer(a, b *crdv1.SpiderIPPool) bool {
	order, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion)
	return err == nil && order > 0
}

// read reads the pools that the refusal rests on and that were not read before: each of them where
// they are few, else those that changed according to a list. It reports whether it read anything
// that may change the choice.
func (f *freshPools) read(ctx context.Context, r *selection.Refusal) (bool, error) {
	names := f.unknown(r.Pools)
	if r.AllPools || len(names) > maxPoolReads-f.reads {
		if err := f.list(ctx); err != nil {
			return false, err
		}
	}
	if f.listed != nil {
		names = slices.DeleteFunc(names, f.cached)
	}
	if r.AllPools {
		names = append(names, f.unknown(f.changed())...)
	}
	for i, name := range names {
		if f.reads == maxPoolReads {
			f.trustCache(names[i:])
			return i > 0, nil
		}
		if err := f.get(ctx, name); err != nil {
			return false, err
		}
	}
	return len(names) > 0, nil
}

// unknown returns the names that were not read, without duplicates.
func (f *freshPools) unknown(names []string) []string {
	var unknown []string
	for _, name := range names {
		if _, done := f.known[name]; !done && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

func (f *freshPools) get(ctx context.Context, name string) error {
	f.reads++
	pool := &crdv1.SpiderIPPool{}
	err := f.live.Get(ctx, client.ObjectKey{Name: name}, pool)
	switch {
	case apierrors.IsNotFound(err):
		pool = nil
	case err != nil:
		return fmt.Errorf("reading pool %q: %w", name, err)
	}
	f.known[name] = pool
	return nil
}

// list lists the pools, once, and their metadata only: the status of a large pool is large.
func (f *freshPools) list(ctx context.Context) error {
	if f.listed != nil {
		return nil
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(crdv1.GroupVersion.WithKind("SpiderIPPoolList"))
	if err := f.live.List(ctx, list); err != nil {
		return fmt.Errorf("listing pools: %w", err)
	}
	f.listed = make(map[string]metav1.ObjectMeta, len(list.Items))
	for i := range list.Items {
		f.listed[list.Items[i].Name] = list.Items[i].ObjectMeta
	}
	return nil
}

// cached reports whether the cache is up to date for a pool: it has the current version, or the
// pool does not exist.
func (f *freshPools) cached(name string) bool {
	cached, ok := f.cache.Pool(name)
	there, exists := f.listed[name]
	if !exists || ok && cached.ResourceVersion == there.ResourceVersion {
		f.known[name] = nil
		return true
	}
	return false
}

// changed returns the names of the pools that the cache lacks, or has with an older spec.
func (f *freshPools) changed() []string {
	var names []string
	for name, there := range f.listed {
		cached, ok := f.cache.Pool(name)
		if !ok || cached.UID != there.UID || cached.Generation < there.Generation {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// trustCache uses the cache for these pools.
func (f *freshPools) trustCache(names []string) {
	for _, name := range names {
		f.known[name] = nil
	}
	f.trusted += len(names)
}

// qualify adds to a refusal that part of it rests on the cache.
func (f *freshPools) qualify(err error) error {
	var refusal *selection.Refusal
	if f.trusted == 0 || !errors.As(err, &refusal) {
		return err
	}
	qualified := *refusal
	qualified.Reason += fmt.Sprintf("; %d of the pools have changed since the controller last saw them, and no more than %d are looked at anew for one pod: try again in a moment",
		f.trusted, maxPoolReads)
	return &qualified
}
