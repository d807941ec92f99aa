package ledger

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"strconv"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// memory is an API server of pools that keeps the rule of resourceVersions, and whose state can be
// put back as no real one's can. All else is tested against a real one.
type memory struct {
	mu       sync.Mutex
	revision int
	pools    map[string]*crdv1.SpiderIPPool // name -> pool
	before   func(write int)                // runs before each write, counted from 1
	writes   int
}

var (
	_ API      = (*memory)(nil)
	_ Pools    = (*memory)(nil)
	_ AllPools = (*memory)(nil)

	poolResource = crdv1.GroupVersion.WithResource("spiderippools").GroupResource()
)

func (m *memory) Get(_ context.Context, name string) (*crdv1.SpiderIPPool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p, ok := m.pools[name]; ok {
		return p.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(poolResource, name)
}

func (m *memory) UpdateStatus(_ context.Context, pool *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error) {
	m.mu.Lock()
	m.writes++
	n := m.writes
	m.mu.Unlock()
	if m.before != nil {
		m.before(n)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.pools[pool.Name]
	switch {
	case !ok:
		return nil, apierrors.NewNotFound(poolResource, pool.Name)
	case p.ResourceVersion != pool.ResourceVersion:
		return nil, apierrors.NewConflict(poolResource, pool.Name, fmt.Errorf("it is at %s, not %s", p.ResourceVersion, pool.ResourceVersion))
	}
	m.putLocked(pool.DeepCopy())
	return m.pools[pool.Name].DeepCopy(), nil
}

func (m *memory) putLocked(p *crdv1.SpiderIPPool) {
	m.revision++
	p.ResourceVersion = strconv.Itoa(m.revision)
	if m.pools == nil {
		m.pools = map[string]*crdv1.SpiderIPPool{}
	}
	m.pools[p.Name] = p
}

// Pool is a watch that shows nothing.
func (*memory) Pool(string) (*crdv1.SpiderIPPool, bool) { return nil, false }

func (m *memory) All() iter.Seq[*crdv1.SpiderIPPool] {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*crdv1.SpiderIPPool, 0, len(m.pools))
	for _, p := range m.pools {
		all = append(all, p)
	}
	return func(yield func(*crdv1.SpiderIPPool) bool) {
		for _, p := range all {
			if !yield(p) {
				return
			}
		}
	}
}

// edit makes another process's change of a pool's status.
func (m *memory) edit(name string, do func(*crdv1.SpiderIPPool)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pools[name].DeepCopy()
	do(p)
	m.putLocked(p)
}

// add makes a pool that is Ready.
func (m *memory) add(name, subnet string, ips ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.putLocked(&crdv1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-of-" + name), Generation: 1},
		Spec:       crdv1.IPPoolSpec{Subnet: subnet, IPs: ips},
		Status: crdv1.IPPoolStatus{Conditions: []metav1.Condition{{
			Type: crdv1.ConditionReady, Status: metav1.ConditionTrue, Reason: crdv1.ReasonInitialised, ObservedGeneration: 1,
		}}},
	})
}

// state reads a pool as it is stored.
func (m *memory) state(t *testing.T, name string) *State {
	t.Helper()
	p, err := m.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Read(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func toCome(namespace, ownerUID string) allocator.Reservation {
	return allocator.Reservation{
		Token: allocator.NewToken(), Pod: allocator.PodRef{Namespace: namespace}, Owner: allocator.OwnerDigest(ownerUID),
	}
}

func unused(netip.Addr) bool { return false }

// flaky writes nothing where fail says so; who writes cannot tell.
type flaky struct {
	*memory
	fail func() error
}

func (f flaky) UpdateStatus(ctx context.Context, pool *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error) {
	if err := f.fail(); err != nil {
		return nil, err
	}
	return f.memory.UpdateStatus(ctx, pool)
}

// slots are for the families of the default NIC.
func slots(pools ...[]string) []choice.Slot {
	all := make([]choice.Slot, len(pools))
	for i, p := range pools {
		all[i] = choice.Slot{NIC: crdv1.DefaultNIC, Family: choice.Family(i % 2), Pools: p}
	}
	return all
}
