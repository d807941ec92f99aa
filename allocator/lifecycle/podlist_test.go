package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// crowd answers lists of pods, page by page, once it is let.
type crowd struct {
	client.Reader // nil: nothing else is asked for

	present *crdv1.SpiderIPPool // the pool that is got
	pods    []metav1.PartialObjectMetadata
	err     error
	let     chan struct{} // nil: at once

	mu    sync.Mutex
	lists int // first pages
}

func (c *crowd) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	pool, ok := into.(*crdv1.SpiderIPPool)
	if !ok || c.present == nil {
		return apierrors.NewNotFound(poolKind, key.Name)
	}
	c.present.DeepCopyInto(pool)
	return nil
}

func (c *crowd) List(_ context.Context, into client.ObjectList, opts ...client.ListOption) error {
	var o client.ListOptions
	for _, opt := range opts {
		opt.ApplyToList(&o)
	}
	from, _ := strconv.Atoi(o.Continue)
	if from == 0 {
		c.mu.Lock()
		c.lists++
		c.mu.Unlock()
		if c.let != nil {
			<-c.let
		}
	}
	list, ok := into.(*metav1.PartialObjectMetadataList)
	if !ok {
		return fmt.Errorf("nobody lists a %T", into)
	}
	to := min(from+int(o.Limit), len(c.pods))
	list.ResourceVersion, list.Items = "900", c.pods[from:to]
	if to < len(c.pods) {
		list.Continue = strconv.Itoa(to)
	}
	return c.err
}

func (c *crowd) begun() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lists
}

// claiming returns a pod of that revision that claims an address of a pool.
func claiming(pool, address string, revision int) metav1.PartialObjectMetadata {
	claims := []crdv1.Claim{{Pool: pool, Address: netip.MustParseAddr(address)}}
	return metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: fmt.Sprintf("pod-%d", revision), ResourceVersion: strconv.Itoa(revision), Annotations: annotationsOf("token", claims),
	}}
}

func TestThePodListReturnsTheHighestRevisionOfAClaim(t *testing.T) {
	t.Parallel()
	pods := []metav1.PartialObjectMetadata{claiming("p", "10.0.0.1", 7), claiming("p", "10.0.0.2", 5), claiming("q", "10.0.0.3", 9)}
	for i := range pageSize { // the last of p is on another page
		pods = append(pods, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("other-", i), ResourceVersion: "800"}})
	}
	pods = append(pods, claiming("p", "10.0.0.4", 300))
	got, err := (&podLister{api: &crowd{pods: pods}}).mark(t.Context())
	if got != 300 || err != nil {
		t.Errorf("the mark is %d, %v, want 300", got, err)
	}
	if got, err := (&podLister{api: &crowd{pods: pods[3:9]}}).mark(t.Context()); got != 0 || err != nil {
		t.Errorf("the mark of pods that claim nothing is %d, %v", got, err)
	}
}

func TestThePodListIsSharedByThoseThatAskMeanwhile(t *testing.T) {
	t.Parallel()
	api := &crowd{pods: []metav1.PartialObjectMetadata{claiming("p", "10.0.0.1", 7)}, let: make(chan struct{})}
	c := &podLister{api: api}
	var all sync.WaitGroup
	ask := func(n int) {
		for range n {
			all.Go(func() {
				if mark, err := c.mark(t.Context()); mark != 7 || err != nil {
					t.Errorf("the mark is %d, %v", mark, err)
				}
			})
		}
	}
	ask(1)
	for api.begun() == 0 {
		runtime.Gosched()
	}
	ask(50) // what they would see, the list under way may not
	for c.asked.Load() < 51 {
		runtime.Gosched()
	}
	close(api.let)
	all.Wait()
	if api.begun() != 2 {
		t.Errorf("%d lists for one that asked, and 50 that asked meanwhile; want 2", api.begun())
	}
}

func TestAPodListThatFailedSaysNothing(t *testing.T) {
	t.Parallel()
	api := &crowd{pods: []metav1.PartialObjectMetadata{claiming("p", "10.0.0.1", 7)}, err: errors.New("away")}
	r, pool := counting(api, version("p", 1, true, "10.0.0.1"))
	if _, err := r.seesClaimants(t.Context(), pool, spaceOf(t, pool)); err == nil {
		t.Error("a list that failed is no error")
	}
	api.err = nil
	for range 2 { // the second is remembered
		if seen, err := r.seesClaimants(t.Context(), pool, spaceOf(t, pool)); seen || err != nil {
			t.Errorf("a view of nothing shows all pods: %t, %v", seen, err)
		}
	}
	if api.begun() != 2 {
		t.Errorf("%d lists, want the one that failed and one more", api.begun())
	}
}

// counting returns a judge of one pool.
func counting(api *crowd, pool *crdv1.SpiderIPPool) (*readiness, *crdv1.SpiderIPPool) {
	api.present = pool.DeepCopy()
	api.present.Status = crdv1.IPPoolStatus{} // nothing is in service
	r := &readiness{api: api, podLists: &podLister{api: api}, barriers: &barriers{}, leaderships: newLeaderships("t", ledger.Read), pools: shownPools{pool.Name: pool}, claims: crowded{}}
	r.leaderships.of(pool)
	return r, pool
}

func TestNoPodsAreListedForWhatIsInServiceByNow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		present func(*crdv1.SpiderIPPool) *crdv1.SpiderIPPool // of what the watch shows; nil where the pool is gone
		want    int                                           // lists
	}{
		"the watch is not behind": {func(p *crdv1.SpiderIPPool) *crdv1.SpiderIPPool { return p }, 1},
		"the pool has been written since, for other reasons": {
			func(p *crdv1.SpiderIPPool) *crdv1.SpiderIPPool { p.ResourceVersion = "99"; return p }, 1,
		},
		"all is in service by now": {
			func(p *crdv1.SpiderIPPool) *crdv1.SpiderIPPool {
				p.ResourceVersion, p.Status.InService = "99", []string{"10.0.0.1-10.0.0.2"}
				return p
			}, 0,
		},
		"some is": {
			func(p *crdv1.SpiderIPPool) *crdv1.SpiderIPPool {
				p.ResourceVersion, p.Status.InService = "99", []string{"10.0.0.1"}
				return p
			}, 1,
		},
		"the pool is gone": {func(*crdv1.SpiderIPPool) *crdv1.SpiderIPPool { return nil }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := &crowd{}
			r, pool := counting(api, version("p", 1, false, "10.0.0.1-10.0.0.2"))
			api.present = c.present(pool.DeepCopy())
			if seen, err := r.seesClaimants(t.Context(), pool, spaceOf(t, pool)); seen != (c.want > 0) || err != nil || api.begun() != c.want {
				t.Errorf("seen %t, %v, and %d lists, want %d", seen, err, api.begun(), c.want)
			}
		})
	}
}

func TestABarrierIsForTheAddressesGainedAndThePoolsThen(t *testing.T) {
	t.Parallel()
	api := &crowd{}
	r, pool := counting(api, version("p", 1, true, "10.0.0.1"))
	see := func(pool *crdv1.SpiderIPPool, lists int, why string) {
		t.Helper()
		r.leaderships.of(pool)
		if seen, err := r.seesClaimants(t.Context(), pool, spaceOf(t, pool)); !seen || err != nil || api.begun() != lists {
			t.Errorf("%s: seen %t, %v, and %d lists, want %d", why, seen, err, api.begun(), lists)
		}
	}
	see(pool, 1, "the first")
	see(pool, 1, "the same")
	edited := pool.DeepCopy()
	edited.Generation++
	edited.Spec.Vlan = new(int64(7))
	see(edited, 1, "edited, and nothing gained")
	edited = edited.DeepCopy()
	edited.Spec.IPs = []string{"10.0.0.1-10.0.0.2"}
	see(edited, 2, "grown")
	anew := edited.DeepCopy()
	anew.UID = "another"
	see(anew, 3, "made anew")

	other := version("q", 5, true, "10.0.0.2")
	r.pools = shownPools{"p": anew, "q": other}
	r.barriers.forget(anew.Name)
	see(anew, 4, "beside another")
	there := func(uids ...types.UID) neighbourhood {
		n := neighbourhood{self: anew, there: map[types.UID]bool{anew.UID: true}}
		for _, uid := range uids {
			n.there[uid] = true
		}
		return n
	}
	if !r.stillCounts(t.Context(), there(other.UID, "younger")) {
		t.Error("the pools of then are there, and the list does not count")
	}
	if r.stillCounts(t.Context(), there("younger")) {
		t.Error("a pool that had addresses to give since is gone, and the list counts")
	}
	see(anew, 5, "without another")
	r.barriers.admit("younger")
	if !r.stillCounts(t.Context(), there(other.UID, "younger")) {
		t.Error("a pool that was made Ready since is there, and the list does not count")
	}
	if r.stillCounts(t.Context(), there(other.UID)) {
		t.Error("a pool that was made Ready since is gone, and the list counts")
	}
	see(anew, 6, "without the younger")
}

// Times of creation have whole seconds: a pool that is made later may count as the older one,
// become Ready first, and be gone when the other is judged.
func TestPodsAreListedAnewWhereAPoolThatCameLaterIsGone(t *testing.T) {
	t.Parallel()
	w := (&scenario{
		pools: map[string]string{"r": "10.0.0.2", "p": "", "q": ""}, later: map[string]string{"p": "10.0.0.1", "q": "10.0.0.1"}, slots: [][]string{{"q", "p", "r"}},
		pods: []string{"a"}, jobs: []string{"tend", "judge"}, budget: map[string]int{"admit": 2, "pool": 1},
	}).world()
	for _, name := range []string{
		"admit a-0", "store a-0", "pool q is made", "one: tend q", "one: tend writes", "one: judge q", // its view has not come far enough
		"pool p is made", "one: tend p", "one: tend writes", "one: watch", "one: judge p", "one: judge writes",
		"admit a-1", "store a-1", "pool p is deleted by force", "one: judge q",
	} {
		w = w.named(name).do()
	}
	if w.leaders[0].pending != nil {
		t.Error("q is judged by a view without the pod that p gave the address to")
	}
	for _, name := range []string{"one: watch", "one: judge q", "one: judge writes"} {
		w = w.named(name).do()
	}
	if c := w.pools["q"].Status.Conditions; len(c) != 1 || c[0].Reason != crdv1.ReasonOverlap {
		t.Errorf("the conditions of q are %+v", c)
	}
}

func spaceOf(t *testing.T, pool *crdv1.SpiderIPPool) allocator.Space {
	t.Helper()
	return state(t, pool).Space
}

// An edit that adds no address costs no list, and waits for no view.
func TestWhatGainsNoAddressListsNoPods(t *testing.T) {
	t.Parallel()
	api := &crowd{pods: []metav1.PartialObjectMetadata{claiming("p", "10.0.0.1", 7)}}
	r, pool := counting(api, version("p", 1, true, "10.0.0.1"))
	seen, err := r.seesClaimants(t.Context(), pool, allocator.Space{})
	if !seen || err != nil || api.begun() != 0 {
		t.Errorf("seen %t, %v, and %d lists", seen, err, api.begun())
	}
}
