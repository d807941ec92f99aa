package lifecycle

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// version returns a pool as the API server would.
func version(name string, created int64, ready bool, ips ...string) *crdv1.SpiderIPPool {
	p := &crdv1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), ResourceVersion: "1", Generation: 3, CreationTimestamp: metav1.Unix(created, 0)},
		Spec:       crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", IPs: ips},
	}
	p.Status.Term = "me"
	if ready {
		meta.SetStatusCondition(&p.Status.Conditions, metav1.Condition{Type: crdv1.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: 3})
	}
	return p
}

func TestJudgement(t *testing.T) {
	t.Parallel()
	using := version("using", 9, true, "10.0.0.200")
	using.Status.Settled = []string{"10.0.0.5"}
	garbage := version("garbage", 1, true, "10.0.0.9-10.0.0.1")
	corrupt := version("corrupt", 9, true, "10.0.0.9-10.0.0.20")
	corrupt.Status.Settled = []string{"nonsense"}
	routed := version("routed", 5, false, "10.0.0.99")
	routed.Spec.Gateway = new("10.0.0.1")
	foreign := version("foreign", 9, false, "10.0.0.100")
	foreign.Status.Term = "another"
	edited := version("edited", 9, true, "10.0.0.5-10.0.0.20")
	edited.Generation++
	for name, c := range map[string]struct {
		pool   *crdv1.SpiderIPPool
		others []*crdv1.SpiderIPPool
		want   string // message; empty means Ready
	}{
		"alone":                                      {pool: version("p", 5, false, "10.0.0.1-10.0.0.10")},
		"beside one with other addresses":            {pool: version("p", 5, false, "10.0.0.1-10.0.0.10"), others: []*crdv1.SpiderIPPool{version("o", 1, true, "10.0.0.11")}},
		"over an older one":                          {version("p", 5, false, "10.0.0.1-10.0.0.10"), []*crdv1.SpiderIPPool{version("o", 4, false, "10.0.0.7-10.0.0.20")}, `10.0.0.7-10.0.0.10 is in pool "o" too; take it out of spec.ips of one of the two`},
		"over a younger one that waits":              {pool: version("p", 5, false, "10.0.0.1-10.0.0.10"), others: []*crdv1.SpiderIPPool{version("o", 6, false, "10.0.0.7-10.0.0.20")}},
		"over a younger one that is Ready":           {version("p", 5, false, "10.0.0.1-10.0.0.10"), []*crdv1.SpiderIPPool{version("o", 6, true, "10.0.0.7-10.0.0.20")}, `10.0.0.7-10.0.0.10 is in pool "o" too; take it out of spec.ips of one of the two`},
		"over a younger one Ready for an older spec": {pool: version("p", 5, false, "10.0.0.10"), others: []*crdv1.SpiderIPPool{edited}},
		"of the same second, the UID decides":        {version("p", 5, false, "10.0.0.1"), []*crdv1.SpiderIPPool{version("o", 5, false, "10.0.0.1")}, `10.0.0.1 is in pool "o" too; take it out of spec.ips of one of the two`},
		"over an address in use from another":        {version("p", 5, false, "10.0.0.1-10.0.0.10"), []*crdv1.SpiderIPPool{using}, `address 10.0.0.5 is in use from pool "using"; take it out of spec.ips`},
		"over one whose record cannot be read":       {version("p", 5, false, "10.0.0.1-10.0.0.10"), []*crdv1.SpiderIPPool{corrupt}, `10.0.0.9-10.0.0.10 is in pool "corrupt" too; take it out of spec.ips of one of the two`},
		"over the gateway of another":                {version("p", 5, false, "10.0.0.1-10.0.0.10"), []*crdv1.SpiderIPPool{routed}, `10.0.0.1 is the gateway of pool "routed"; take it out of spec.ips`},
		"with a gateway that another has":            {routed, []*crdv1.SpiderIPPool{version("o", 9, false, "10.0.0.1-10.0.0.10")}, `the gateway 10.0.0.1 is an address of pool "o"; take it out of its spec.ips`},
		"beside one whose record cannot be read":     {pool: version("p", 5, false, "10.0.0.1"), others: []*crdv1.SpiderIPPool{corrupt}},
		"beside one that another leader has":         {version("p", 5, false, "10.0.0.1"), []*crdv1.SpiderIPPool{foreign}, `pool "foreign" of an overlapping subnet was not taken over yet`},
		"beside one whose spec cannot be read":       {pool: version("p", 5, false, "10.0.0.1-10.0.0.10"), others: []*crdv1.SpiderIPPool{garbage}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			self, err := ledger.Read(c.pool)
			if err != nil {
				t.Fatal(err)
			}
			v := judge(self, objectionTo(ledger.Read, self, c.others, "me"))
			got := v.condition
			if c.want == "" {
				if got.Status != metav1.ConditionTrue || got.ObservedGeneration != 3 || !v.inService.Equal(self.Space) {
					t.Errorf("got %+v, %v in service, want Ready for generation 3", got, v.inService)
				}
				return
			}
			if got.Status != metav1.ConditionFalse || got.Message != c.want {
				t.Errorf("got %s %s\n  %s\nwant\n  %s", got.Status, got.Reason, got.Message, c.want)
			}
		})
	}
}

// An edit that adds addresses which are another pool's withholds these alone.
func TestAnEditThatOverlapsLeavesTheRestInService(t *testing.T) {
	t.Parallel()
	edited := version("p", 5, true, "10.0.0.1-10.0.0.10", "10.0.0.15-10.0.0.16", "10.0.0.20")
	edited.Status.InService = []string{"10.0.0.1-10.0.0.12"}
	other := version("o", 6, true, "10.0.0.16-10.0.0.17")
	self := state(t, edited)
	v := judge(self, objectionTo(ledger.Read, self, []*crdv1.SpiderIPPool{other}, "me"))
	const want = `10.0.0.15-10.0.0.16, 10.0.0.20 are not handed out: 10.0.0.16 is in pool "o" too; take it out of spec.ips of one of the two`
	if c := v.condition; c.Status != metav1.ConditionTrue || c.Reason != crdv1.ReasonWithheld || c.Message != want || c.ObservedGeneration == edited.Generation {
		t.Errorf("got %+v\nwant %s", c, want)
	}
	if got := v.inService.Ranges(); len(got) != 1 || got[0].String() != "10.0.0.1-10.0.0.10" {
		t.Errorf("%v in service, want what was and is in spec still", got)
	}
	// A release that does not know the field drops it: then nothing is in service, rather than all.
	dropped := edited.DeepCopy()
	dropped.Status.InService, dropped.Status.Conditions = nil, []metav1.Condition{v.condition}
	if s := state(t, dropped); s.InService.Size() > 0 {
		t.Errorf("%v in service", s.InService.Ranges())
	}
}
