package lifecycle

import (
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/apiserver"
)

const longGrace = time.Hour

func state(t *testing.T, c crdv1.Claim) allocator.State {
	t.Helper()
	return get(t, c.Pool).Record.State(c.Address)
}

func wait(t *testing.T, c crdv1.Claim, want allocator.State) {
	t.Helper()
	apiserver.Eventually(t, fmt.Sprintf("%s is %s", c.Address, want), func() bool { return state(t, c) == want })
}

// barrier returns once the leader has acted on everything that happened before: it has settled a
// pod that was made now.
func barrier(t *testing.T, pool string) {
	t.Helper()
	token, claim := reserve(t, pool)
	pod := newPod(t, "", token, claim)
	wait(t, claim, allocator.StateSettled)
	remove(t, pod)
	wait(t, claim, allocator.StateFree)
}

func remove(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if err := server.Client.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
}

func TestLifeOfAnAddress(t *testing.T) {
	lead(t, longGrace)
	pool := newPool(t)

	t.Run("settled when seen, released when finished, with an endpoint in between", func(t *testing.T) {
		token, claim := reserve(t, pool)
		pod := newPod(t, "node", token, claim)
		wait(t, claim, allocator.StateSettled)
		if mark := get(t, pool).Record.SeenThrough(); mark == 0 {
			t.Error("settling raised no mark")
		}
		var se crdv1.SpiderEndpoint
		apiserver.Eventually(t, "the endpoint is there", func() bool { return server.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), &se) == nil })
		if c := se.Status.Current; c == nil || c.Node != "node" || c.UID != string(pod.UID) || len(c.IPs) != 1 || c.IPs[0].IPv4Pool != pool {
			t.Errorf("the endpoint shows %+v", se.Status)
		}
		say(t, pod, corev1.PodRunning, true)
		say(t, pod, corev1.PodSucceeded, false)
		wait(t, claim, allocator.StateFree)
		apiserver.Eventually(t, "the endpoint is gone", func() bool {
			return apierrors.IsNotFound(server.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), &se))
		})
	})
	t.Run("a phase written by somebody else frees nothing", func(t *testing.T) {
		token, claim := reserve(t, pool)
		pod := newPod(t, "node", token, claim)
		wait(t, claim, allocator.StateSettled)
		say(t, pod, corev1.PodFailed, true)
		barrier(t, pool)
		if got := state(t, claim); got != allocator.StateSettled {
			t.Errorf("the address is %s", got)
		}
	})
	t.Run("a pod that never had a node gives back when it is deleted", func(t *testing.T) {
		token, claim := reserve(t, pool)
		pod := newPod(t, "", token, claim)
		wait(t, claim, allocator.StateSettled)
		remove(t, pod)
		wait(t, claim, allocator.StateFree)
	})
	t.Run("a finished pod that is deleted later does not free its successor's address", func(t *testing.T) {
		token, claim := reserve(t, pool)
		first := newPod(t, "node", token, claim)
		wait(t, claim, allocator.StateSettled)
		say(t, first, corev1.PodSucceeded, false)
		wait(t, claim, allocator.StateFree)
		token = takeAgain(t, claim)
		second := newPod(t, "node", token, claim)
		wait(t, claim, allocator.StateSettled)
		remove(t, second) // by force: its end was not seen
		wait(t, claim, allocator.StateHeld)
		remove(t, first)
		barrier(t, pool)
		if got := state(t, claim); got != allocator.StateHeld {
			t.Errorf("the address is %s", got)
		}
	})
}

// A phase and container statuses that somebody forged free the address of a running pod. Its
// kubelet tells otherwise, later. Nobody else may lose their address for it.
func TestAPodThatFinishesTwice(t *testing.T) {
	lead(t, longGrace)
	pool := newPool(t)
	t.Run("has its address put back when it is live again", func(t *testing.T) {
		token, claim := reserve(t, pool)
		pod := newPod(t, "node", token, claim)
		wait(t, claim, allocator.StateSettled)
		say(t, pod, corev1.PodFailed, false)
		wait(t, claim, allocator.StateFree)
		say(t, pod, corev1.PodRunning, true)
		wait(t, claim, allocator.StateSettled)
		say(t, pod, corev1.PodFailed, false)
		wait(t, claim, allocator.StateFree)
	})
	t.Run("frees nothing of the pod that has the address since", func(t *testing.T) {
		token, claim := reserve(t, pool)
		first := newPod(t, "node", token, claim)
		wait(t, claim, allocator.StateSettled)
		say(t, first, corev1.PodFailed, false)
		wait(t, claim, allocator.StateFree)
		second := newPod(t, "node", takeAgain(t, claim), claim)
		wait(t, claim, allocator.StateSettled)
		say(t, first, corev1.PodRunning, true)
		say(t, first, corev1.PodFailed, false)
		barrier(t, pool)
		if got := state(t, claim); got != allocator.StateSettled {
			t.Errorf("the address is %s", got)
		}
		remove(t, second) // by force: its end was not seen
		wait(t, claim, allocator.StateHeld)
	})
}

func TestAPodOfAnotherNamespaceDoesNotSettleAReservation(t *testing.T) {
	lead(t, longGrace)
	pool := newPool(t)
	l := ledger.New(ledger.Options{API: ledger.NewAPI(server.Client), Pools: none{}})
	r := allocator.Reservation{Token: allocator.NewToken(), Pod: allocator.PodRef{Namespace: "victim"}}
	claims, err := l.Reserve(t.Context(), r, slotsOf([]string{pool}))
	if err != nil {
		t.Fatal(err)
	}
	forger := newPod(t, "", string(r.Token), claims[0])
	barrier(t, pool)
	remove(t, forger)
	barrier(t, pool)
	if got := state(t, claims[0]); got != allocator.StateReserved {
		t.Errorf("the address is %s", got)
	}
}

func TestAPoolWhoseRecordBecomesUnreadable(t *testing.T) {
	lead(t, longGrace)
	pool := newPool(t)
	object := get(t, pool).Pool
	before := object.DeepCopy()
	object.Status.Held = []string{"nonsense"}
	if err := server.Client.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the pool says so", func() bool {
		if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			t.Fatal(err)
		}
		c := meta.FindStatusCondition(object.Status.Conditions, crdv1.ConditionReady)
		return c.Status == metav1.ConditionFalse && c.Reason == crdv1.ReasonCorrupt
	})
	other := &crdv1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: pool + "-overlapped"},
		Spec:       crdv1.IPPoolSpec{Subnet: object.Spec.Subnet, IPs: object.Spec.IPs},
	}
	if err := server.Client.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the other waits", func() bool {
		c := meta.FindStatusCondition(get(t, other.Name).Pool.Status.Conditions, crdv1.ConditionReady)
		return c != nil && c.Status == metav1.ConditionFalse && c.Reason == crdv1.ReasonOverlap
	})
	object.Status.Held = before.Status.Held // an administrator mends it
	if err := server.Client.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	// Made within one second, either may count as the older; one of them serves.
	apiserver.Eventually(t, "both are judged anew", func() bool {
		c := meta.FindStatusCondition(get(t, pool).Pool.Status.Conditions, crdv1.ConditionReady)
		ready, _ := judged(t, []string{pool, other.Name})
		return c.Reason != crdv1.ReasonCorrupt && ready == 1
	})
}

func TestAPoolMadeAnewHasBackWhatItsPodsCarry(t *testing.T) {
	lead(t, longGrace)
	pool := newPool(t)
	token, claim := reserve(t, pool)
	newPod(t, "node", token, claim)
	wait(t, claim, allocator.StateSettled)
	old := get(t, pool).Pool
	if err := server.Client.Delete(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)) // by force
	if err := server.Client.Patch(t.Context(), old, patch); err != nil {
		t.Fatal(err)
	}
	anew := &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: pool}, Spec: old.Spec}
	if err := server.Client.Create(t.Context(), anew); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the new pool is Ready", func() bool {
		return meta.IsStatusConditionTrue(get(t, pool).Pool.Status.Conditions, crdv1.ConditionReady)
	})
	if got := state(t, claim); got != allocator.StateSettled {
		t.Errorf("the address of a live pod is %s in the pool made anew", got)
	}
	if _, next := reserve(t, pool); next.Address == claim.Address {
		t.Error("it was given to another")
	}
}

// takeAgain reserves exactly this address, as the webhook would once nothing lower is free.
func takeAgain(t *testing.T, c crdv1.Claim) string {
	t.Helper()
	token := allocator.NewToken()
	l := ledger.New(ledger.Options{API: ledger.NewAPI(server.Client), Pools: none{}})
	err := l.Apply(t.Context(), c.Pool, ledger.Change{Do: func(tx *ledger.Tx) error {
		return tx.Record.Reserve(c.Address, allocator.Reservation{Token: token, Pod: allocator.PodRef{Namespace: "default"}})
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

func TestAReservationThatNoPodCameForExpires(t *testing.T) {
	lead(t, time.Second)
	pool := newPool(t)
	_, orphan := reserve(t, pool)
	token, claim := reserve(t, pool)
	newPod(t, "node", token, claim)
	wait(t, claim, allocator.StateSettled)
	wait(t, orphan, allocator.StateFree)
	if got := state(t, claim); got != allocator.StateSettled {
		t.Errorf("the address of a pod that came is %s", got)
	}
}

func TestALeaderThatWasOvertakenStops(t *testing.T) {
	first := lead(t, longGrace)
	pool := newPool(t)
	term := get(t, pool).Record.Term()
	token, claim := reserve(t, pool)
	pod := newPod(t, "node", token, claim)
	wait(t, claim, allocator.StateSettled)

	lead(t, longGrace)
	apiserver.Eventually(t, "the second has taken over", func() bool { return get(t, pool).Record.Term() != term })
	second := get(t, pool).Record.Term()
	// Both see the end; only the second may act on it.
	say(t, pod, corev1.PodSucceeded, false)
	wait(t, claim, allocator.StateFree)
	apiserver.Eventually(t, "the first is told", func() bool { return len(first.deposed) > 0 })
	if got := get(t, pool).Record.Term(); got != second {
		t.Errorf("the term is %s, want the second's %s", got, second)
	}
}

// The first leader frees an address, it is given on, and its new pod vanishes unseen. A leader that
// comes later sees the old pod, finished, with the same address in its annotations: that proves
// nothing about the new one.
func TestANewLeaderDoesNotFreeByAnOldPodsEnd(t *testing.T) {
	first := lead(t, longGrace)
	pool := newPool(t)
	token, claim := reserve(t, pool)
	old := newPod(t, "node", token, claim)
	wait(t, claim, allocator.StateSettled)
	say(t, old, corev1.PodSucceeded, false)
	wait(t, claim, allocator.StateFree)
	young := newPod(t, "node", takeAgain(t, claim), claim)
	wait(t, claim, allocator.StateSettled)
	first.end()
	remove(t, young)

	term := get(t, pool).Record.Term()
	lead(t, longGrace)
	apiserver.Eventually(t, "the second has taken over", func() bool { return get(t, pool).Record.Term() != term })
	old.Labels = map[string]string{"touched": "yes"} // raises its resourceVersion above every mark
	if err := server.Client.Update(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	barrier(t, pool)
	if got := state(t, claim); got != allocator.StateHeld {
		t.Errorf("the address is %s", got)
	}
}

// Two that believe they lead judge the pools as they appear, until one of them finds the other's
// term and stops. Neither may make a pool Ready while the other makes another Ready that overlaps.
// A third, alone, ends the matter.
func TestOverlappingPoolsMadeAtOneMoment(t *testing.T) {
	leaders := []*leader{lead(t, longGrace), lead(t, longGrace)}
	var wg sync.WaitGroup
	net := newNet()
	pools := make([]string, 20)
	for i := range pools {
		pools[i] = fmt.Sprintf("overlap-%d-%d", net, i)
		wg.Go(func() {
			err := server.Client.Create(t.Context(), &crdv1.SpiderIPPool{
				ObjectMeta: metav1.ObjectMeta{Name: pools[i]},
				Spec:       crdv1.IPPoolSpec{Subnet: fmt.Sprintf("10.0.%d.0/24", net), IPs: []string{fmt.Sprintf("10.0.%d.%d-10.0.%d.100", net, i+1, net)}},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	apiserver.Eventually(t, "one finds the other", func() bool { return len(leaders[0].deposed)+len(leaders[1].deposed) > 0 })
	for _, l := range leaders {
		l.end()
	}
	if ready, _ := judged(t, pools); ready > 1 {
		t.Errorf("%d of the overlapping pools were made Ready by two leaders, want 1 at most", ready)
	}
	lead(t, longGrace)
	apiserver.Eventually(t, "all are judged", func() bool { _, n := judged(t, pools); return n == len(pools) })
	if ready, _ := judged(t, pools); ready != 1 {
		t.Errorf("%d of the overlapping pools are Ready, want 1", ready)
	}
}

// judged counts the pools that are Ready, and those of which it was decided.
func judged(t *testing.T, pools []string) (ready, all int) {
	t.Helper()
	for _, p := range pools {
		c := meta.FindStatusCondition(get(t, p).Pool.Status.Conditions, crdv1.ConditionReady)
		if c == nil {
			continue
		}
		all++
		if c.Status == metav1.ConditionTrue {
			ready++
		}
	}
	return ready, all
}

func TestADeletedPoolGoesWhenItsLastAddressIsFree(t *testing.T) {
	lead(t, longGrace)
	pool := newPool(t)
	token, claim := reserve(t, pool)
	pod := newPod(t, "", token, claim)
	wait(t, claim, allocator.StateSettled)
	object := get(t, pool).Pool
	if err := server.Client.Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	if got := state(t, claim); got != allocator.StateSettled {
		t.Errorf("the address is %s", got)
	}
	remove(t, pod)
	apiserver.Eventually(t, "the pool is gone", func() bool {
		return apierrors.IsNotFound(server.Client.Get(t.Context(), client.ObjectKeyFromObject(object), object))
	})
}
