package nodes

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed life-sts.yaml
var lifeStsManifest []byte

// LifeSts proves: the pods of a StatefulSet keep the addresses of both families, whether they are
// made again, on whichever node, scaled down and up, or left by a set that is deleted and made
// again; and give them back when they will not come back. So do those of OpenKruise's StatefulSet,
// with ordinals left out, and those of a StatefulSet that somebody else's controller makes.
var LifeSts = behaviours.Behaviour{ID: "life-sts", Manifest: lifeStsManifest, Test: lifeSts}

const lifeStsV4, lifeStsV6 = "life-sts-v4", "life-sts-v6"

func lifeSts(t *testing.T, e *behaviours.Env) {
	t.Run("sets", func(t *testing.T) { // all of them end before what follows
		for kind, ordinals := range map[string][]int{"web": {0, 1}, "kruise": {0, 2}, "database": {0, 1}} {
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				wholeLife(t, lifeStsSet(t, e, kind), lifeStsSet(t, e, kind+"-gone"), ordinals)
			})
		}
		t.Run("ordinals.start", func(t *testing.T) { t.Parallel(); startMoves(t, lifeStsSet(t, e, "start")) })
		t.Run("reserveOrdinals", func(t *testing.T) { t.Parallel(); reservesMore(t, lifeStsSet(t, e, "reserve")) })
		t.Run("deleted by force", func(t *testing.T) { t.Parallel(); waitsForTheHold(t, lifeStsSet(t, e, "forced")) })
	})
	for _, name := range []string{"web", "kruise", "database", "start", "reserve", "forced"} {
		lifeStsSet(t, e, name).remove(t, metav1.DeletePropagationBackground)
	}
	for _, pool := range []string{lifeStsV4, lifeStsV6} {
		e.AwaitTaken(t, pool, 0)
	}
}

func lifeStsSet(t *testing.T, e *behaviours.Env, name string) *set {
	t.Helper()
	return setOf(t, e, lifeStsManifest, name)
}

// wholeLife takes a set of two pods through all that may happen to it. The other set of the same
// kind goes for good while the first is only away.
func wholeLife(t *testing.T, s, gone *set, ordinals []int) {
	pods := s.await(t, ordinals...)
	first, last := pods[0], pods[1]
	s.recreate(t, last.Name)
	same(t, "recreated", pods, s.await(t, ordinals...))
	s.move(t, first.Name, otherNode(t, s.e, first.Spec.NodeName))
	moved := s.await(t, ordinals...)
	same(t, "rescheduled", pods, moved)
	if moved[0].Spec.NodeName == first.Spec.NodeName || moved[0].UID == first.UID {
		t.Errorf("pod %s was to move from node %s and is there as %s", first.Name, first.Spec.NodeName, moved[0].UID)
	}
	for _, a := range claimed(t, &moved[0]) {
		s.e.Ping(t, a)
	}

	s.scale(t, 1)
	s.awaitLeaving(t, &moved[1])
	s.scale(t, 2)
	same(t, "scaled down and up at once", pods, s.await(t, ordinals...))
	s.scale(t, 1)
	s.await(t, ordinals[0])
	s.scale(t, 2)
	same(t, "scaled down and up", pods, s.await(t, ordinals...))

	orphaned(t, s, gone, ordinals, pods)
	s.recreate(t, first.Name)
	same(t, "recreated, of a set that was made again", pods, s.await(t, ordinals...))

	at := time.Now()
	s.scale(t, 1)
	s.awaitFreed(t, at, last)
	same(t, "after the other was scaled away for good", pods[:1], s.await(t, ordinals[0]))
}

// orphaned deletes a set and leaves its pods, for longer than addresses of sets that are gone are
// kept: one that goes with its pods at that time shows it. Then it makes the set again, which finds
// its pods.
func orphaned(t *testing.T, s, gone *set, ordinals []int, pods []corev1.Pod) {
	t.Helper()
	before, going := s.await(t, ordinals...), gone.await(t, 0)
	verify := alwaysInUse(t, s.e, pods)
	s.orphan(t)
	at := time.Now()
	gone.remove(t, metav1.DeletePropagationBackground)
	gone.awaitFreed(t, at, going[0])
	s.make(t)
	after := s.await(t, ordinals...)
	same(t, "left by a set that was made again", pods, after)
	for i := range after {
		if after[i].UID != before[i].UID {
			t.Errorf("pod %s is another one: UID %s, was %s", after[i].Name, after[i].UID, before[i].UID)
		}
	}
	verify()
}

// startMoves: a set that counts from 5 counts from 6 then, and its pod 5 will not come back.
func startMoves(t *testing.T, s *set) {
	pods := s.await(t, 5, 6)
	s.recreate(t, "start-6")
	same(t, "recreated", pods, s.await(t, 5, 6))
	at := time.Now()
	s.patch(t, `{"spec":{"ordinals":{"start":6}}}`)
	same(t, "with another start", pods[1:], s.await(t, 6, 7)[:1])
	s.awaitFreed(t, at, pods[0])
}

// reservesMore: a number that is left out for a while is not lost for that; the one that served in
// its place is, later.
func reservesMore(t *testing.T, s *set) {
	pods := s.await(t, 0, 2)
	s.patch(t, `{"spec":{"reserveOrdinals":[1,2]}}`)
	other := s.await(t, 0, 3)
	same(t, "with another ordinal left out", pods[:1], other[:1])
	at := time.Now()
	s.patch(t, `{"spec":{"reserveOrdinals":[1]}}`)
	same(t, "with the ordinal back", pods, s.await(t, 0, 2))
	s.awaitFreed(t, at, other[1])
}

const (
	// holdLasts is for how long an address is held on a node that stays Ready, where the pod's
	// termination grace was not more than the usual one.
	holdLasts = 90 * time.Second
	// holdPatience is what it may take beside.
	holdPatience = time.Minute
)

// waitsForTheHold deletes a pod by force: nobody knows whether its containers have ended, so the
// next pod of the name waits, and says what for.
func waitsForTheHold(t *testing.T, s *set) {
	e := s.e
	pods := s.await(t, 0)
	old := pods[0]
	e.DeleteByForce(t, old.DeepCopy())
	var next corev1.Pod
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(&old), &next); err != nil {
			return err
		}
		if next.UID == old.UID {
			return fmt.Errorf("pod %s is still there", old.Name)
		}
		return behaviours.Waits(&next)
	})
	message := e.AwaitReason(t, &next, crdv1.ReasonAddressHeld)
	e.AwaitEvent(t, &old, corev1.EventTypeWarning, crdv1.ReasonHeld)
	since := time.Time{}
	for pool, a := range claimed(t, &old) {
		if !strings.Contains(message, pool) {
			t.Errorf("the condition says %q, want it to name pool %q", message, pool)
		}
		hold, held := e.Record(t, pool).HoldAt(a)
		if !held || hold.Node != old.Spec.NodeName {
			t.Fatalf("pool %q: %s is held: %t, for node %q, want it held for node %s", pool, a, held, hold.Node, old.Spec.NodeName)
		}
		since = hold.Since
	}
	behaviours.Eventually(t, holdLasts+holdPatience, func(ctx context.Context) error {
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(&next), &next); err != nil {
			return err
		}
		if behaviours.Gated(&next) {
			return fmt.Errorf("pod %s still waits: %+v", next.Name, behaviours.Condition(&next))
		}
		return nil
	})
	lasted := time.Since(since)
	t.Logf("the address was held for %s", lasted.Round(time.Second))
	if lasted < holdLasts {
		t.Errorf("the pod was given its address after %s, want it to wait for %s", lasted, holdLasts)
	}
	same(t, "after the hold", pods, s.await(t, 0))
	e.AwaitSaysAssigned(t, &next)
}

// claimed returns the addresses that a pod carries.
func claimed(t *testing.T, pod *corev1.Pod) map[string]netip.Addr { // pool -> address
	t.Helper()
	claims, errs := crdv1.ClaimsOf(pod.Annotations)
	if len(errs) > 0 || len(claims) == 0 {
		t.Fatalf("pod %s carries %v (%v), want addresses", pod.Name, claims, errs)
	}
	all := map[string]netip.Addr{}
	for _, c := range claims {
		all[c.Pool] = c.Address
	}
	return all
}

// alwaysInUse has every version of the pools looked at until the function that it returns is
// called: the addresses of the pods must be in use in each.
func alwaysInUse(t *testing.T, e *behaviours.Env, pods []corev1.Pod) (verify func()) {
	t.Helper()
	wanted := map[string][]netip.Addr{} // pool -> addresses
	for i := range pods {
		for pool, a := range claimed(t, &pods[i]) {
			wanted[pool] = append(wanted[pool], a)
		}
	}
	var verifications []func()
	for pool, addresses := range wanted {
		done, seen := false, 0
		var wrong []string
		f := e.Follow(t, e.Pool(t, pool), func(version *crdv1.SpiderIPPool) {
			if done {
				return
			}
			seen++
			record, err := behaviours.RecordOf(version)
			if err != nil {
				wrong = append(wrong, err.Error())
				return
			}
			if i := slices.IndexFunc(addresses, func(a netip.Addr) bool { return !record.InUse(a) }); i >= 0 {
				wrong = append(wrong, fmt.Sprintf("revision %s: %s is %s", version.ResourceVersion, addresses[i], use(record, addresses[i])))
			}
		})
		verifications = append(verifications, func() {
			f.UpToDate(t, e, func() { done = true })
			if len(wrong) > 0 || seen == 0 {
				t.Errorf("pool %q: of %d versions these have addresses of running pods not in use: %q", pool, seen, wrong)
			}
		})
	}
	return func() {
		for _, verify := range verifications {
			verify()
		}
	}
}

func use(r *allocator.Record, a netip.Addr) string {
	return fmt.Sprintf("%v, %v", r.State(a), r.Use(a))
}
