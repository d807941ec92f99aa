package view

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

const token = "aaaaaaaaaaaaaaaa"

// seeing returns an index with pods.
func seeing(t *testing.T, pods ...*Pod) *Claims {
	t.Helper()
	c, err := NewClaims(&kubernetes.Clientset{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods {
		if err := c.informer.GetIndexer().Add(p); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// claimant returns a live pod that claims x from pool p.
func claimant(namespace, name string, edits ...func(*Pod)) *Pod {
	p := &Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + name)},
		Token:      token,
		Claims:     []crdv1.Claim{{Pool: "p", Address: x, NIC: crdv1.DefaultNIC}},
	}
	for _, edit := range edits {
		edit(p)
	}
	return p
}

func isFinished(p *Pod) { p.Finished = true }

func of(pool string) func(*Pod) { return func(p *Pod) { p.Claims[0].Pool = pool } }

// foreign has x from another IPAM, and claims nothing.
func foreign(p *Pod) { p.Claims, p.Foreign = nil, []netip.Addr{x} }

func TestWhatUsesAnAddress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pods []*Pod
		want bool
	}{
		"no pod":                                       {nil, false},
		"a pod that claims it":                         {[]*Pod{claimant("ns", "a")}, true},
		"a pod that claims it from any pool":           {[]*Pod{claimant("ns", "a", of("q"))}, true},
		"a pod that claimed it and finished":           {[]*Pod{claimant("ns", "a", isFinished)}, false},
		"a finished pod and a live one":                {[]*Pod{claimant("ns", "a", isFinished), claimant("ns", "b")}, true},
		"a pod that has it from another IPAM":          {[]*Pod{claimant("ns", "a", foreign)}, true},
		"a finished pod that had it from another IPAM": {[]*Pod{claimant("ns", "a", foreign, isFinished)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := seeing(t, c.pods...)
			if got := v.UsedBy(x); got != c.want {
				t.Errorf("used: %t, want %t", got, c.want)
			}
			if v.UsedBy(x.Next()) {
				t.Error("another address is used too")
			}
		})
	}
}

func TestWhoCarriesAReservation(t *testing.T) {
	t.Parallel()
	early := allocator.Reservation{Token: token, Pod: allocator.PodRef{Namespace: "ns"}}
	late := allocator.Reservation{Token: token, Pod: allocator.PodRef{Namespace: "ns", Name: "a", UID: "uid-a"}}
	for name, c := range map[string]struct {
		pods        []*Pod
		reservation allocator.Reservation
		want        string // name of the pod; empty for none
	}{
		"the pod with the token":                   {[]*Pod{claimant("ns", "a")}, early, "a"},
		"a live one before one that finished":      {[]*Pod{claimant("ns", "a", isFinished), claimant("ns", "b")}, early, "b"},
		"one that finished":                        {[]*Pod{claimant("ns", "a", isFinished)}, early, "a"},
		"not one of another namespace":             {[]*Pod{claimant("other", "a")}, early, ""},
		"not one with another token":               {[]*Pod{claimant("ns", "a", func(p *Pod) { p.Token = "bbbbbbbbbbbbbbbb" })}, early, ""},
		"not one that claims it from another pool": {[]*Pod{claimant("ns", "a", of("q"))}, early, ""},
		"the pod of a late reservation":            {[]*Pod{claimant("ns", "a")}, late, "a"},
		"not another pod by a late reservation":    {[]*Pod{claimant("ns", "b")}, late, ""},
		"not a later pod of the same name":         {[]*Pod{claimant("ns", "a", func(p *Pod) { p.UID = "uid-new" })}, late, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if p, ok := seeing(t, c.pods...).Carrier("p", x, c.reservation); ok {
				got = p.Name
			}
			if got != c.want {
				t.Errorf("carried by %q, want %q", got, c.want)
			}
		})
	}
}

func TestWhoUsesAPool(t *testing.T) {
	t.Parallel()
	v := seeing(t, claimant("ns", "b"), claimant("ns", "a"), claimant("ns", "gone", isFinished), claimant("ns", "elsewhere", of("q")))
	if diff := cmp.Diff([]string{"ns/a", "ns/b"}, v.UsersOf("p")[x]); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	if n := len(v.Claimants("p")); n != 2 {
		t.Errorf("%d live pods claim addresses of the pool, want 2", n)
	}
	if got := v.Pools(); !slices.Equal(got, []string{"p", "q"}) {
		t.Errorf("pools %v", got)
	}
	if _, ok := v.Get("ns/gone"); !ok {
		t.Error("a finished pod is not in view")
	}
}
