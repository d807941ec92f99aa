package lifecycle

import (
	"iter"
	"maps"
	"net/netip"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

var (
	x      = netip.MustParseAddr("10.0.0.1")
	tokenA = allocator.Token("aaaaaaaaaaaaaaaa")
	tokenB = allocator.Token("bbbbbbbbbbbbbbbb")
)

// pod returns a live pod that claims x by a token.
func pod(name string, token allocator.Token, revision uint64) *view.Pod {
	return &view.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)},
		Revision:   revision,
		Node:       "node",
		Token:      string(token),
		Claims:     []crdv1.Claim{{Pool: "p", Address: x}},
	}
}

func finished(p *view.Pod) *view.Pod {
	f := *p
	f.Finished = true
	return &f
}

// podView is the pods that claim x, as seen at a revision.
type podView struct {
	revision uint64
	pods     []*view.Pod
}

func (v podView) Revision() uint64 { return v.revision }

func (v podView) Live(netip.Addr) (live []*view.Pod) {
	for _, p := range v.pods {
		if p.Live() {
			live = append(live, p)
		}
	}
	return live
}

func (v podView) Carrier(_ string, _ netip.Addr, r allocator.Reservation) (*view.Pod, bool) {
	for _, p := range v.pods {
		if p.Token == string(r.Token) {
			return p, true
		}
	}
	return nil, false
}

func reservedFor(t *testing.T, token allocator.Token) *allocator.Record {
	t.Helper()
	var r allocator.Record
	if err := r.Reserve(x, allocator.Reservation{Token: token, Pod: allocator.PodRef{Namespace: "default"}}); err != nil {
		t.Fatal(err)
	}
	return &r
}

func settledFor(t *testing.T, token allocator.Token, mark uint64) *allocator.Record {
	t.Helper()
	r := reservedFor(t, token)
	if err := r.Settle(x, token, mark); err != nil {
		t.Fatal(err)
	}
	return r
}

var moment = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// identityOfTests says that the pods are of a StatefulSet web.
func identityOfTests(p *view.Pod) (allocator.Identity, string) {
	return allocator.Identity{Namespace: p.Namespace, Group: "apps", Kind: "StatefulSet", Name: "web", Pod: p.Name}, "owner"
}

// nobody says that no pod has an identity.
func nobody(*view.Pod) (allocator.Identity, string) { return allocator.Identity{}, "" }

// keptFor returns a record with x reserved for the identity of pod a.
func keptFor(t *testing.T, token allocator.Token) *allocator.Record {
	t.Helper()
	id, uid := identityOfTests(pod("a", token, 1))
	var r allocator.Record
	if err := r.Reserve(x, allocator.Reservation{Token: token, Pod: allocator.PodRef{Namespace: "default"}, For: id, ForUID: uid}); err != nil {
		t.Fatal(err)
	}
	return &r
}

// usedFor returns a record with x retained and in use, its mark at 10.
func usedFor(t *testing.T, token allocator.Token) *allocator.Record {
	t.Helper()
	r := keptFor(t, token)
	if err := r.Settle(x, token, 10); err != nil {
		t.Fatal(err)
	}
	return r
}

// leftFor returns a record with x retained and unassigned, its mark at 10.
func leftFor(t *testing.T, token allocator.Token) *allocator.Record {
	t.Helper()
	r := usedFor(t, token)
	if err := r.Release(x); err != nil {
		t.Fatal(err)
	}
	return r
}

func heldFor(t *testing.T, token allocator.Token) *allocator.Record {
	t.Helper()
	r := settledFor(t, token, 10)
	if err := r.Hold(x, allocator.Hold{Node: "node", Since: moment}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (crowded) Revision() uint64 { return 0 }

func (crowded) Pools() []string { return []string{"p"} }

// shownPools are pools as a watch would show them.
type shownPools map[string]*crdv1.SpiderIPPool

func (s shownPools) Pool(name string) (*crdv1.SpiderIPPool, bool) { p, ok := s[name]; return p, ok }

func (s shownPools) All() iter.Seq[*crdv1.SpiderIPPool] { return maps.Values(s) }
