package lifecycle

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestAPodThatCarriesAnAddressFromAnotherPoolStandsAgainstThisOne(t *testing.T) {
	t.Parallel()
	p := pod("a", tokenA, 1) // of pool p
	r := readiness{claims: crowded{p}}
	for name, c := range map[string]struct {
		self *crdv1.SpiderIPPool
		want bool
	}{
		"from another":                       {version("q", 1, false, x.String()), true},
		"from this one":                      {version("p", 1, false, x.String()), false},
		"the other pool has other addresses": {version("q", 1, false, x.Next().String()), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if a, got, from := r.stray(state(t, c.self)); (got == p) != c.want || c.want && (a != x || from != "p") {
				t.Errorf("got %s, %v, %q", a, got, from)
			}
		})
	}
}

// crowded are claimants.
type crowded []*view.Pod

func (c crowded) Claimants(string) []*view.Pod { return c }

func TestAllPoolsAreReadOnlyWhereTheWatchShowsSomethingNew(t *testing.T) {
	t.Parallel()
	first := version("first", 1, true, "10.0.0.1-10.0.0.9")
	second := version("second", 2, false, "10.0.0.9-10.0.0.20")
	told := second.DeepCopy()
	told.Status.Conditions = []metav1.Condition{judge(state(t, told), objectionTo(ledger.Read, state(t, told), []*crdv1.SpiderIPPool{first}, "me")).condition}
	elsewhere := version("first", 1, true, "10.0.0.1-10.0.0.10")
	for name, c := range map[string]struct {
		pool   *crdv1.SpiderIPPool
		others []*crdv1.SpiderIPPool
		want   bool
	}{
		"it was told what stands against it":     {told, []*crdv1.SpiderIPPool{first}, true},
		"it was not told yet":                    {second, []*crdv1.SpiderIPPool{first}, false},
		"something else stands against it":       {told, []*crdv1.SpiderIPPool{elsewhere}, false},
		"nothing stands against it any more":     {told, nil, false},
		"a pool far away has nothing against it": {told, []*crdv1.SpiderIPPool{first, {ObjectMeta: metav1.ObjectMeta{Name: "far"}, Spec: crdv1.IPPoolSpec{Subnet: "fd00::/64"}}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := shownPools{c.pool.Name: c.pool}
			for _, o := range c.others {
				all[o.Name] = o
			}
			if got := (&readiness{pools: all, leaderships: newLeaderships("me", ledger.Read)}).stays(state(t, c.pool)); got != c.want {
				t.Errorf("it stays: %t", got)
			}
		})
	}
}

// state reads a version.
func state(t *testing.T, pool *crdv1.SpiderIPPool) *ledger.State {
	t.Helper()
	s, err := ledger.Read(pool)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
