package lifecycle

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/lifecycle"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/apiserver"
)

const poolBefore = "written-before"

// A pool whose status the release before wrote goes on under this one: what was judged stays in
// service, and its pods keep, release and expire their addresses.
func TestAPoolThatTheReleaseBeforeWroteGoesOn(t *testing.T) {
	node := makeNode(t, "node-before")
	owner := newStatefulSet(t, "before", 2)
	versions := makePoolBefore(t)
	runs, ends := claimant(t, "", 1), claimant(t, "", 2)
	claimant(t, "aaaaaaaaaaaaaaae", 10)
	web := newPodOf(t, owner, "before-0", "node", string(allocator.NewToken()), before(20))

	var ahead atomic.Int64 // of the leader's clock
	lead(t, time.Second, func(o *lifecycle.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})

	// Live pods keep theirs, also those that were not seen yet.
	wait(t, before(10), allocator.StateSettled)
	for _, n := range []byte{1, 2} {
		if got := state(t, before(n)); got != allocator.StateSettled {
			t.Errorf("%s of a live pod is %s", before(n).Address, got)
		}
	}
	if got := use(t, before(20)); got != allocator.InUse {
		t.Errorf("%s of a live pod is %s", before(20).Address, got)
	}
	// It can give more, and what ends is released.
	if _, c := reserve(t, poolBefore); c.Address != before(3).Address {
		t.Errorf("reserved next is %s", c.Address)
	}
	say(t, ends, corev1.PodSucceeded, false)
	wait(t, before(2), allocator.StateFree)

	// An identity finds its address again; what is kept for none goes.
	say(t, web, corev1.PodSucceeded, false)
	waitUse(t, before(20), allocator.Unassigned)
	remove(t, web)
	token, again, err := reserveFor(t, poolBefore, owner, "before-0")
	if err != nil || again.Address != before(20).Address {
		t.Fatalf("the next pod of the name is given %v, %v", again, err)
	}
	newPodOf(t, owner, "before-0", "node", token, before(20))
	waitUse(t, before(20), allocator.InUse)
	if got := use(t, before(21)); got != allocator.Unassigned {
		t.Errorf("the address of a pod that its owner may make is %s", got)
	}
	if err := server.Client.Patch(t.Context(), owner, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"replicas":1}}`))); err != nil {
		t.Fatal(err)
	}
	wait(t, before(21), allocator.StateFree)

	// Who may have come for a reservation that no pod carries nobody knows: it is held for the
	// nodes that there are.
	for _, n := range []byte{11, 12, 13, 22} {
		waitHeld(t, before(n), "")
	}
	for n, of := range map[byte]string{23: node.Name, 30: node.Name, 31: ""} {
		waitHeld(t, before(n), of)
	}
	if err := server.Client.Delete(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	wait(t, before(23), allocator.StateFree)
	wait(t, before(30), allocator.StateFree)
	vouch(t)
	ahead.Store(int64(2 * time.Hour))
	for _, n := range []byte{11, 12, 13, 22, 31} {
		wait(t, before(n), allocator.StateFree)
	}

	wait(t, before(3), allocator.StateFree)
	s := get(t, poolBefore).Pool.Status
	want := [][]string{{"10.201.0.1,10"}, nil, {"default/StatefulSet.apps/before " + string(owner.UID) + ": -0=10.201.0.20*"}, nil}
	if diff := cmp.Diff(want, [][]string{s.Settled, s.Reserved, s.Retained, s.Held}); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	versions.check(t)
	say(t, runs, corev1.PodSucceeded, false)
	wait(t, before(1), allocator.StateFree)
}

// before is a claim of an address of the pool.
func before(n byte) crdv1.Claim {
	return crdv1.Claim{Pool: poolBefore, Address: netip.AddrFrom4([4]byte{10, 201, 0, n}), NIC: crdv1.DefaultNIC}
}

// claimant makes a live pod that carries an address of the pool, and a token of its own where none
// is given.
func claimant(t *testing.T, token string, n byte) *corev1.Pod {
	t.Helper()
	if token == "" {
		token = string(allocator.NewToken())
	}
	return newPod(t, "node", token, before(n))
}

func makeNode(t *testing.T, name string) *corev1.Node {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := server.Client.Create(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	return node
}

// makePoolBefore stores the golden pool while nobody leads, and follows it.
func makePoolBefore(t *testing.T) *versions {
	t.Helper()
	var pool crdv1.SpiderIPPool
	data, err := os.ReadFile("testdata/pool-before-in-service.yaml")
	if err == nil {
		err = yaml.UnmarshalStrict(data, &pool)
	}
	if err != nil {
		t.Fatal(err)
	}
	status := pool.Status
	if err := server.Client.Create(t.Context(), &pool); err != nil {
		t.Fatal(err)
	}
	pool.Status = status
	if err := server.Client.Status().Update(t.Context(), &pool); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(status, pool.Status); diff != "" {
		t.Fatalf("the API server stores something else (-golden +stored):\n%s", diff)
	}
	return follow(t, &pool)
}

// versions are those that a pool had after one that was known.
type versions struct {
	mu   sync.Mutex
	seen []crdv1.SpiderIPPool
}

func follow(t *testing.T, pool *crdv1.SpiderIPPool) *versions {
	t.Helper()
	c, err := client.NewWithWatch(server.Config, client.Options{Scheme: server.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := c.Watch(t.Context(), &crdv1.SpiderIPPoolList{}, &client.ListOptions{Raw: &metav1.ListOptions{
		FieldSelector: "metadata.name=" + pool.Name, ResourceVersion: pool.ResourceVersion,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stream.Stop)
	v := &versions{}
	go func() {
		for event := range stream.ResultChan() {
			if p, ok := event.Object.(*crdv1.SpiderIPPool); ok {
				v.mu.Lock()
				v.seen = append(v.seen, *p)
				v.mu.Unlock()
			}
		}
	}()
	return v
}

// check fails unless each version was Ready as it stood and had all its addresses in service, the
// first that was written included.
func (v *versions) check(t *testing.T) {
	t.Helper()
	now := get(t, poolBefore).Pool.ResourceVersion
	apiserver.Eventually(t, "the watch has shown the present version", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return len(v.seen) > 0 && v.seen[len(v.seen)-1].ResourceVersion == now
	})
	for i, p := range v.seen {
		c := meta.FindStatusCondition(p.Status.Conditions, crdv1.ConditionReady)
		if c == nil || c.Status != metav1.ConditionTrue || c.Reason != crdv1.ReasonInitialised || c.ObservedGeneration != p.Generation {
			t.Errorf("after %d writes the pool at generation %d says %+v", i+1, p.Generation, c)
		}
		if want := []string{"10.201.0.1-10.201.0.38"}; !slices.Equal(p.Status.InService, want) {
			t.Errorf("after %d writes %q are in service, want %q", i+1, p.Status.InService, want)
		}
	}
}

// vouch says of all nodes that they are off, until the test ends.
func vouch(t *testing.T) {
	t.Helper()
	var all corev1.NodeList
	if err := server.Client.List(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for i := range all.Items {
		node := &all.Items[i]
		taints := node.Spec.Taints
		node.Spec.Taints = append(slices.Clone(taints), corev1.Taint{Key: corev1.TaintNodeOutOfService, Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute})
		if err := server.Client.Update(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			node.Spec.Taints = taints
			if err := server.Client.Update(context.Background(), node); err != nil {
				t.Error(err)
			}
		})
	}
}
