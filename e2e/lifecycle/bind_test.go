package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/lifecycle/latebind"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/apiserver"
)

func TestPodsThatWaitForAFullPool(t *testing.T) {
	leadBinding(t, &byAnnotation{})
	t.Run("get what comes free, the longest waiting first, and newcomers wait behind them", func(t *testing.T) {
		pool := newPoolOf(t, 4, 1)
		occupant := occupy(t, pool)[0]
		first, second := waiting(t, pool), waiting(t, pool)
		message := awaitReason(t, first, crdv1.ReasonPoolFull)
		if !strings.Contains(message, `pool "`+pool+`": its only address is taken`) || !strings.Contains(message, wantsKey) {
			t.Errorf("the message is %q", message)
		}
		awaitReason(t, second, crdv1.ReasonQueued)
		awaitWaitedFor(t, pool, true)
		remove(t, occupant)
		claims := awaitBound(t, first)
		if isBound(t, second) {
			t.Error("the second was bound too")
		}
		awaitReason(t, second, crdv1.ReasonPoolFull) // it is the first now
		if !get(t, pool).Pool.Status.WaitedFor {
			t.Error("the pool is not waited for any more")
		}
		remove(t, first)
		if next := awaitBound(t, second); next[0] != claims[0] {
			t.Errorf("the second was given %v, the first had %v", next, claims)
		}
		awaitWaitedFor(t, pool, false)
	})
	t.Run("get it by priority first", func(t *testing.T) {
		class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "urgent"}, Value: 1000}
		if err := server.Client.Create(t.Context(), class); err != nil {
			t.Fatal(err)
		}
		pool := newPoolOf(t, 4, 1)
		occupant := occupy(t, pool)[0]
		old := waiting(t, pool)
		awaitReason(t, old, crdv1.ReasonPoolFull)
		urgent := waiting(t, pool, func(pod *corev1.Pod) { pod.Spec.PriorityClassName = class.Name })
		awaitReason(t, urgent, crdv1.ReasonPoolFull)
		awaitReason(t, old, crdv1.ReasonQueued)
		remove(t, occupant)
		awaitBound(t, urgent)
		if isBound(t, old) {
			t.Error("the one of lower priority was bound too")
		}
	})
	t.Run("take nothing in one family while they lack the other, and hold up nobody there", func(t *testing.T) {
		v4, v6 := newPoolOf(t, 4, 2), newPoolOf(t, 6, 1)
		occupant := occupyV6(t, v6)
		both := waiting(t, v4+";"+v6)
		if message := awaitReason(t, both, crdv1.ReasonPoolFull); strings.Contains(message, v4) {
			t.Errorf("the message is %q", message)
		}
		awaitWaitedFor(t, v6, true)
		one := waiting(t, v4)
		awaitBound(t, one)
		if s := get(t, v4); s.Record.Count() != 1 || s.Pool.Status.WaitedFor {
			t.Errorf("of the pool that is not full %s are taken, waited for: %t", s.Record.Counts(), s.Pool.Status.WaitedFor)
		}
		remove(t, occupant)
		if claims := awaitBound(t, both); len(claims) != 2 || claims[0].Pool != v4 || claims[1].Pool != v6 {
			t.Errorf("it was given %v", claims)
		}
	})
	t.Run("get an address of whichever candidate has one first", func(t *testing.T) {
		a, b := newPoolOf(t, 4, 1), newPoolOf(t, 4, 1)
		occupy(t, a)
		occupant := occupy(t, b)[0]
		pod := waiting(t, a+"|"+b)
		message := awaitReason(t, pod, crdv1.ReasonPoolFull)
		if !strings.Contains(message, a) || !strings.Contains(message, b) {
			t.Errorf("the message is %q", message)
		}
		remove(t, occupant)
		if claims := awaitBound(t, pod); claims[0].Pool != b {
			t.Errorf("it was given %v", claims)
		}
	})
	t.Run("wait for a pool that is not ready without making a queue", func(t *testing.T) {
		pool := newPoolOf(t, 4, 1)
		disable(t, pool, true)
		pod := waiting(t, pool)
		if message := awaitReason(t, pod, crdv1.ReasonPoolNotReady); !strings.Contains(message, "disabled") {
			t.Errorf("the message is %q", message)
		}
		if get(t, pool).Pool.Status.WaitedFor {
			t.Error("the pool is waited for")
		}
		disable(t, pool, false)
		awaitBound(t, pod)
	})
}

// occupyV6 takes the one address of an IPv6 pool, for a pod without a node.
func occupyV6(t *testing.T, pool string) *corev1.Pod {
	t.Helper()
	token, claim := reserve(t, pool)
	written, err := annotations(token, []crdv1.Claim{claim})
	if err != nil {
		t.Fatal(err)
	}
	pod := podWith(t, "", token, claim)
	pod.Annotations = written
	if err := server.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	wait(t, claim, allocator.StateSettled)
	return pod
}

func disable(t *testing.T, pool string, disabled bool) {
	t.Helper()
	object := get(t, pool).Pool
	before := object.DeepCopy()
	object.Spec.Disable = &disabled
	if err := server.Client.Patch(t.Context(), object, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

func TestPodsThatCameOtherwise(t *testing.T) {
	chooser := &byAnnotation{}
	leadBinding(t, chooser)
	pool := newPoolOf(t, 4, 20)
	t.Run("one that somebody else gates is given nothing until ours is the last gate", func(t *testing.T) {
		pod := waiting(t, pool, gatedBy("example.com/queue"))
		awaitReason(t, pod, crdv1.ReasonForeignGate)
		if get(t, pool).Record.Count() != 0 {
			t.Error("an address is taken for it")
		}
		pod = now(t, pod)
		pod.Spec.SchedulingGates = pod.Spec.SchedulingGates[:1]
		if err := server.Client.Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		awaitBound(t, pod)
	})
	t.Run("one that did not pass the webhook is bound although it has a node", func(t *testing.T) {
		pod := waiting(t, pool, ungated)
		awaitEvent(t, pod, corev1.EventTypeWarning, crdv1.ReasonMissedAdmission, "without the webhook")
		awaitBound(t, pod)
	})
	t.Run("one that has a sandbox already is left alone, and so is one of another network", func(t *testing.T) {
		running := waiting(t, pool, ungated)
		say(t, running, corev1.PodPending, true)
		foreign := waiting(t, "", ungated)
		last := waiting(t, pool, ungated)
		awaitBound(t, last)
		for _, pod := range []*corev1.Pod{running, foreign} {
			if isBound(t, pod) || conditionOf(now(t, pod)) != (corev1.PodCondition{}) {
				t.Errorf("pod %s has annotations %v and conditions %v", pod.Name, now(t, pod).Annotations, now(t, pod).Status.Conditions)
			}
		}
		if n := chooser.times(foreign); n != 1 {
			t.Errorf("it was chosen for %d times for the one of another network", n)
		}
	})
	t.Run("one that is none of ours loses our gate only", func(t *testing.T) {
		pod := waiting(t, "", gatedBy("example.com/queue"))
		apiserver.Eventually(t, "our gate is gone", func() bool { return len(now(t, pod).Spec.SchedulingGates) == 1 })
		if gate := now(t, pod).Spec.SchedulingGates[0].Name; gate != "example.com/queue" {
			t.Errorf("the gate that is left is %s", gate)
		}
		awaitEvent(t, pod, corev1.EventTypeNormal, crdv1.ReasonUngated, "")
	})
	t.Run("one that has an address and our gate loses the gate", func(t *testing.T) {
		token, claim := reserve(t, pool)
		pod := podWith(t, "", token, claim)
		pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: crdv1.GateWaitingForAddress}}
		if err := server.Client.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		apiserver.Eventually(t, "our gate is gone", func() bool { return len(now(t, pod).Spec.SchedulingGates) == 0 })
	})
	t.Run("one that has an address and says that it waits says so no more", func(t *testing.T) {
		token, claim := reserve(t, pool)
		pod := newPod(t, "", token, claim)
		pod.Status.Conditions = []corev1.PodCondition{{Type: crdv1.ConditionAddressAssigned, Status: corev1.ConditionFalse, Reason: crdv1.ReasonPoolFull, Message: "full"}}
		if err := server.Client.Status().Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		apiserver.Eventually(t, "the condition is True", func() bool { return conditionOf(now(t, pod)).Status == corev1.ConditionTrue })
	})
	t.Run("a static one is told that it cannot be served", func(t *testing.T) {
		pod := waiting(t, pool, ungated, func(pod *corev1.Pod) { pod.Annotations[corev1.MirrorPodAnnotationKey] = "x" })
		awaitEvent(t, pod, corev1.EventTypeWarning, crdv1.ReasonStaticPod, "")
		if isBound(t, pod) {
			t.Error("it was bound")
		}
	})
}

func TestPodsThatNothingIsChosenFor(t *testing.T) {
	broken := atomic.Bool{}
	leadBinding(t, &byAnnotation{refuse: func(ctx context.Context, pod *corev1.Pod) error {
		if broken.Load() {
			panic("broken")
		}
		err := server.Client.Get(ctx, types.NamespacedName{Name: pod.Annotations[wantsKey]}, &crdv1.SpiderIPPool{})
		if apierrors.IsNotFound(err) {
			return &latebind.NoPoolError{Reason: crdv1.ReasonNoPool, Err: errors.New("no such pool")}
		}
		return err
	}})
	t.Run("are looked at again when a pool is made", func(t *testing.T) {
		pod := waiting(t, "late")
		if message := awaitReason(t, pod, crdv1.ReasonNoPool); message != "no such pool" {
			t.Errorf("the message is %q", message)
		}
		net := newNet()
		spec := crdv1.IPPoolSpec{Subnet: fmt.Sprintf("10.0.%d.0/24", net), IPs: []string{fmt.Sprintf("10.0.%d.1", net)}}
		if err := server.Client.Create(t.Context(), &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: "late"}, Spec: spec}); err != nil {
			t.Fatal(err)
		}
		awaitBound(t, pod)
	})
	t.Run("say so when something fails inside, and others are served", func(t *testing.T) {
		pool := newPoolOf(t, 4, 1)
		broken.Store(true)
		pod := waiting(t, pool)
		if message := awaitReason(t, pod, crdv1.ReasonInternal); !strings.Contains(message, "panic: broken") {
			t.Errorf("the message is %q", message)
		}
		broken.Store(false)
		awaitBound(t, waiting(t, newPoolOf(t, 4, 1))) // and its pool makes all be looked at again
		awaitBound(t, pod)
	})
}

func TestPodsThatChangeWhileTheyAreBound(t *testing.T) {
	var meddle atomic.Pointer[func(*corev1.Pod)]
	chooser := &byAnnotation{between: func(pod *corev1.Pod) {
		if do := meddle.Swap(nil); do != nil {
			(*do)(pod)
		}
	}}
	leadBinding(t, chooser)
	pool := newPoolOf(t, 4, 20)
	t.Run("are bound at once where only their status has changed", func(t *testing.T) {
		before := 0 // its pool may be shown late, which is a reason to choose again
		do := func(pod *corev1.Pod) {
			before = chooser.times(pod)
			patch := client.RawPatch(types.MergePatchType, []byte(`{"status":{"message":"no network"}}`))
			if err := server.Client.Status().Patch(context.Background(), pod.DeepCopy(), patch); err != nil {
				t.Error(err)
			}
		}
		meddle.Store(&do)
		pod := waiting(t, pool)
		claims := awaitBound(t, pod)
		if n := chooser.times(pod) - before; n != 0 || now(t, pod).Status.Message != "no network" {
			t.Errorf("it was chosen for %d times more; its status is %+v", n, now(t, pod).Status)
		}
		remove(t, pod)
		wait(t, claims[0], allocator.StateFree)
	})
	t.Run("are read again, and keep what was reserved for them", func(t *testing.T) {
		var reserved allocator.Reservation
		do := func(pod *corev1.Pod) {
			for _, r := range get(t, pool).Record.Awaited() {
				reserved = r
			}
			touch(t, pod)
		}
		meddle.Store(&do)
		pod := waiting(t, pool)
		claims := awaitBound(t, pod)
		want := allocator.Reservation{Token: allocator.LateToken(string(pod.UID)), Pod: allocator.PodRef{Namespace: "default", Name: pod.Name, UID: string(pod.UID)}}
		if reserved != want {
			t.Errorf("what was reserved is %v, want %v", reserved, want)
		}
		if p := now(t, pod); p.Labels["touched"] == "" || p.Annotations[crdv1.AnnotationReservation] != string(want.Token) {
			t.Errorf("the pod has labels %v and annotations %v", p.Labels, p.Annotations)
		}
		if n := get(t, pool).Record.Count(); n != 1 || len(claims) != 1 {
			t.Errorf("%d addresses are taken, the pod has %v", n, claims)
		}
		remove(t, pod)
		wait(t, claims[0], allocator.StateFree)
	})
	t.Run("leave nothing behind when they are deleted", func(t *testing.T) {
		var deleted atomic.Bool
		do := func(pod *corev1.Pod) {
			if get(t, pool).Record.Count() != 1 {
				t.Error("nothing is reserved for it")
			}
			if err := server.Client.Delete(context.Background(), pod.DeepCopy(), client.GracePeriodSeconds(0)); err != nil {
				t.Error(err)
			}
			deleted.Store(true)
		}
		meddle.Store(&do)
		waiting(t, pool)
		apiserver.Eventually(t, "it is deleted", deleted.Load)
		other := waiting(t, "")
		apiserver.Eventually(t, "its address is free", func() bool {
			touch(t, other) // the proof waits until the watch has shown something newer
			return get(t, pool).Record.Count() == 0
		})
	})
	t.Run("are not mistaken for another one of the name", func(t *testing.T) {
		var next atomic.Pointer[corev1.Pod]
		do := func(pod *corev1.Pod) {
			if err := server.Client.Delete(context.Background(), pod.DeepCopy(), client.GracePeriodSeconds(0)); err != nil {
				t.Error(err)
			}
			again := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, Annotations: pod.Annotations}, Spec: pod.Spec}
			if err := server.Client.Create(context.Background(), again); err != nil {
				t.Error(err)
			}
			next.Store(again)
		}
		meddle.Store(&do)
		waiting(t, pool)
		apiserver.Eventually(t, "there is another", func() bool { return next.Load() != nil })
		awaitBound(t, next.Load())
		if got, want := now(t, next.Load()).Annotations[crdv1.AnnotationReservation], string(allocator.LateToken(string(next.Load().UID))); got != want {
			t.Errorf("its token is %s, want its own, %s", got, want)
		}
		apiserver.Eventually(t, "what was the first one's is free", func() bool {
			touch(t, next.Load()) // the proof waits until the watch has shown something newer
			return get(t, pool).Record.Count() == 1
		})
	})
}

// touch changes a pod, other than in what anybody looks at.
func touch(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{"touched":"%d"}}}`, names.Add(1)))
	if err := server.Client.Patch(context.Background(), pod.DeepCopy(), patch); err != nil {
		t.Error(err)
	}
}

func TestANewLeaderEndsWhatTheLastOneBegan(t *testing.T) {
	var stuck atomic.Bool
	stuck.Store(true)
	reached := make(chan struct{}, 1)
	release := make(chan struct{})
	first := leadBinding(t, &byAnnotation{between: func(*corev1.Pod) {
		if stuck.CompareAndSwap(true, false) {
			reached <- struct{}{}
			<-release // as if it had been stopped at this moment
		}
	}})
	pool := newPoolOf(t, 4, 20)
	pod := waiting(t, pool)
	<-reached
	var want crdv1.Claim
	for a := range get(t, pool).Record.Awaited() {
		want = crdv1.Claim{Pool: pool, Address: a, NIC: crdv1.DefaultNIC}
	}
	change(t, pool, func(tx *ledger.Tx) error { // so that the lowest address is another one
		other := want.Address.Next()
		if err := tx.Record.GiveBack(want.Address, allocator.LateToken(string(pod.UID))); err != nil {
			return err
		}
		want.Address = other
		return tx.Record.Reserve(other, allocator.Reservation{
			Token: allocator.LateToken(string(pod.UID)), Pod: allocator.PodRef{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)},
		})
	})
	leadBinding(t, &byAnnotation{})
	if claims := awaitBound(t, pod); len(claims) != 1 || claims[0] != want {
		t.Errorf("it was given %v, reserved was %v", claims, want)
	}
	before := now(t, pod)
	close(release) // the first goes on, and must not write
	awaitBound(t, waiting(t, pool))
	first.end()
	if after := now(t, pod); after.Annotations[crdv1.AnnotationAssignedPrefix+"eth0"] != before.Annotations[crdv1.AnnotationAssignedPrefix+"eth0"] {
		t.Errorf("the first leader wrote %v over %v", after.Annotations, before.Annotations)
	}
	if n := get(t, pool).Record.Count(); n != 2 {
		t.Errorf("%d addresses are taken, want 2", n)
	}
}

// Two that believe they lead bind the same pods. The first may still be taking over pools of other
// tests, so that each deposes the other; a third ends it.
func TestTwoLeadersGiveAPodOneAddress(t *testing.T) {
	leaders := []*leader{leadBinding(t, &byAnnotation{})}
	pool := newPoolOf(t, 4, 20)
	leaders = append(leaders, leadBinding(t, &byAnnotation{}))
	pods := make([]*corev1.Pod, 10)
	for i := range pods {
		pods[i] = waiting(t, pool)
	}
	apiserver.Eventually(t, "one of them is told", func() bool { return len(leaders[0].deposed)+len(leaders[1].deposed) > 0 })
	for _, l := range leaders {
		l.end()
	}
	leadBinding(t, &byAnnotation{})
	given := map[crdv1.Claim]string{} // address -> pod
	for _, pod := range pods {
		claims := awaitBound(t, pod)
		if other, ok := given[claims[0]]; ok || len(claims) != 1 {
			t.Errorf("%s was given %v, which %q has", pod.Name, claims, other)
		}
		given[claims[0]] = pod.Name
	}
	if n := get(t, pool).Record.Count(); n != len(pods) {
		t.Errorf("%d addresses are taken, want %d", n, len(pods))
	}
}

func TestAPodWithAStableIdentityWaitsForItsAddress(t *testing.T) {
	leadBinding(t, &byAnnotation{})
	pool := newPoolOf(t, 4, 20)
	yes := true
	owner := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web", UID: "5f3759df-0000-4000-8000-000000000001", Controller: &yes}
	of := func(pod *corev1.Pod) { pod.Name, pod.OwnerReferences = "web-0", []metav1.OwnerReference{owner} }
	old := waiting(t, pool, of)
	claim := awaitBoundRetained(t, old)
	change(t, pool, func(tx *ledger.Tx) error {
		return tx.Record.Hold(claim.Address, allocator.Hold{Node: "node", Since: time.Now()})
	})
	remove(t, old)
	next := waiting(t, pool, of)
	if message := awaitReason(t, next, crdv1.ReasonAddressHeld); !strings.Contains(message, claim.Address.String()) {
		t.Errorf("the message is %q", message)
	}
	awaitBound(t, waiting(t, pool)) // others are not held up
	change(t, pool, func(tx *ledger.Tx) error { return tx.Record.Unhold(claim.Address) })
	if got := awaitBoundRetained(t, next); got != claim {
		t.Errorf("it was given %v, its predecessor had %v", got, claim)
	}
}

// awaitBoundRetained is awaitBound for a pod whose address is kept.
func awaitBoundRetained(t *testing.T, pod *corev1.Pod) crdv1.Claim {
	t.Helper()
	apiserver.Eventually(t, pod.Name+" is bound", func() bool { return isBound(t, pod) })
	claims, errs := crdv1.ClaimsOf(now(t, pod).Annotations)
	if len(claims) != 1 || len(errs) > 0 {
		t.Fatalf("it was given %v %v", claims, errs)
	}
	apiserver.Eventually(t, "its address is in use", func() bool { return get(t, pod.Annotations[wantsKey]).Record.InUse(claims[0].Address) })
	return claims[0]
}
