package lifecycle

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/apiserver"
)

// holdAt returns the hold of an address.
func holdAt(t *testing.T, c crdv1.Claim) (allocator.Hold, bool) {
	t.Helper()
	return get(t, c.Pool).Record.HoldAt(c.Address)
}

// waitHeld waits until the address is held for a node.
func waitHeld(t *testing.T, c crdv1.Claim, node string) {
	t.Helper()
	apiserver.Eventually(t, fmt.Sprintf("%s is held for node %q", c.Address, node), func() bool {
		h, ok := holdAt(t, c)
		return ok && h.Node == node
	})
}

// newNode makes a node that is not Ready.
func newNode(t *testing.T) *corev1.Node {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", names.Add(1))}}
	if err := server.Client.Create(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	return node
}

func TestHold(t *testing.T) {
	lead(t, longGrace)
	pool := newPool(t)

	t.Run("a pod deleted by force has its address held until its node is gone", func(t *testing.T) {
		node := newNode(t)
		token, claim := reserve(t, pool)
		pod := newPod(t, node.Name, token, claim)
		wait(t, claim, allocator.StateSettled)
		remove(t, pod)
		waitHeld(t, claim, node.Name)
		if err := server.Client.Delete(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		wait(t, claim, allocator.StateFree)
	})
	t.Run("or out of service", func(t *testing.T) {
		node := newNode(t)
		token, claim := reserve(t, pool)
		pod := newPod(t, node.Name, token, claim)
		wait(t, claim, allocator.StateSettled)
		remove(t, pod)
		waitHeld(t, claim, node.Name)
		node.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeOutOfService, Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute}}
		if err := server.Client.Update(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		wait(t, claim, allocator.StateFree)
	})
	t.Run("a pod that nobody saw settled is held too", func(t *testing.T) {
		token, claim := reserve(t, pool)
		pod := newPod(t, "node", token, claim)
		remove(t, pod)
		apiserver.Eventually(t, "it is held", func() bool { h, ok := holdAt(t, claim); return ok && h.Node == "node" })
	})
	t.Run("and an event tells", func(t *testing.T) {
		token, claim := reserve(t, pool)
		pod := newPod(t, "node", token, claim)
		wait(t, claim, allocator.StateSettled)
		remove(t, pod)
		waitHeld(t, claim, "node")
		eventually(t, pod, crdv1.ReasonHeld, claim.Address.String(), pool, "node")
	})
}

// eventually waits for an event of a pod whose note has all the words.
func eventually(t *testing.T, pod *corev1.Pod, reason string, words ...string) {
	t.Helper()
	apiserver.Eventually(t, fmt.Sprintf("pod %s has an event %s with %q", pod.Name, reason, words), func() bool {
		var all eventsv1.EventList
		if err := server.Client.List(t.Context(), &all, client.InNamespace(pod.Namespace)); err != nil {
			t.Fatal(err)
		}
	events:
		for _, e := range all.Items {
			if e.Regarding.UID != pod.UID || e.Reason != reason {
				continue
			}
			for _, w := range words {
				if !strings.Contains(e.Note, w) {
					continue events
				}
			}
			return true
		}
		return false
	})
}

// Whoever leads next finds a settled address without a pod. Its endpoint tells the node.
func TestAPodDeletedWhileNobodyLedHasItsAddressHeld(t *testing.T) {
	first := lead(t, longGrace)
	pool := newPool(t)
	token, claim := reserve(t, pool)
	pod := newPod(t, "node", token, claim)
	pod2token, claim2 := reserve(t, pool)
	wait(t, claim, allocator.StateSettled)
	apiserver.Eventually(t, "the endpoint is there", func() bool {
		return server.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), &crdv1.SpiderEndpoint{}) == nil
	})
	first.end()
	remove(t, pod)
	// Another came and went, and nobody saw it at all.
	remove(t, newPod(t, "node", pod2token, claim2))

	lead(t, time.Second)
	waitHeld(t, claim, "node")
	waitHeld(t, claim2, "")
}

// A reservation that stood before this leader may have had a pod; one that it saw being made has
// not.
func TestAReservationOfAnotherLeadershipIsHeldNotFreed(t *testing.T) {
	first := lead(t, longGrace)
	pool := newPool(t)
	_, inherited := reserve(t, pool)
	first.end()
	term := get(t, pool).Record.Term()
	lead(t, time.Second)
	apiserver.Eventually(t, "the second has taken over", func() bool { return get(t, pool).Record.Term() != term })
	_, own := reserve(t, pool)
	waitHeld(t, inherited, "")
	wait(t, own, allocator.StateFree)
}

// reserveFor reserves for the next pod of a StatefulSet.
func reserveFor(t *testing.T, pool string, owner *appsv1.StatefulSet, name string) (string, crdv1.Claim, error) {
	t.Helper()
	l := ledger.New(ledger.Options{API: ledger.NewAPI(server.Client), Pools: none{}})
	r := allocator.Reservation{
		Token: allocator.NewToken(), Pod: allocator.PodRef{Namespace: "default"},
		For: allocator.Identity{Namespace: "default", Group: "apps", Kind: "StatefulSet", Name: owner.Name, Pod: name}, ForUID: string(owner.UID),
	}
	claims, err := l.Reserve(t.Context(), r, slotsOf([]string{pool}))
	if err != nil {
		return "", crdv1.Claim{}, err
	}
	return string(r.Token), claims[0], nil
}

func cause(err error) string {
	var exhausted *ledger.ExhaustedError
	if errors.As(err, &exhausted) {
		return exhausted.Cause()
	}
	return ""
}

func newStatefulSet(t *testing.T, name string, replicas int32) *appsv1.StatefulSet {
	t.Helper()
	labels := map[string]string{"app": name}
	s := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, ServiceName: name, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "busybox"}}},
			},
		},
	}
	if err := server.Client.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

// newPodOf makes a pod of a StatefulSet as its controller would.
func newPodOf(t *testing.T, s *appsv1.StatefulSet, name, node, token string, claim crdv1.Claim) *corev1.Pod {
	t.Helper()
	pod := podWith(t, node, token, claim)
	pod.Name = name
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(s, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))}
	if err := server.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

func use(t *testing.T, c crdv1.Claim) allocator.Use {
	t.Helper()
	v, ok := get(t, c.Pool).Record.RetainedAt(c.Address)
	if !ok {
		return -1
	}
	return v.Use
}

func waitUse(t *testing.T, c crdv1.Claim, want allocator.Use) {
	t.Helper()
	apiserver.Eventually(t, fmt.Sprintf("%s is retained and %s", c.Address, want), func() bool { return use(t, c) == want })
}

func TestStableIdentity(t *testing.T) {
	lead(t, time.Second)
	pool := newPool(t)
	owner := newStatefulSet(t, fmt.Sprintf("web-%d", names.Add(1)), 2)
	pod0, pod1 := owner.Name+"-0", owner.Name+"-1"

	token, claim, err := reserveFor(t, pool, owner, pod0)
	if err != nil {
		t.Fatal(err)
	}
	pod := newPodOf(t, owner, pod0, "node", token, claim)
	waitUse(t, claim, allocator.InUse)

	if _, _, err := reserveFor(t, pool, owner, pod0); cause(err) != crdv1.ReasonPredecessor {
		t.Errorf("while the last pod of the name has the address, the next one is told: %v", err)
	}
	say(t, pod, corev1.PodSucceeded, false)
	waitUse(t, claim, allocator.Unassigned)
	remove(t, pod)

	// The next of the name has it again, even if another took the lowest.
	if _, other := reserve(t, pool); other.Address == claim.Address {
		t.Fatal("a kept address was given to another")
	}
	token, again, err := reserveFor(t, pool, owner, pod0)
	if err != nil || again != claim {
		t.Fatalf("the next pod of the name is given %v, %v, want %v", again, err, claim)
	}
	pod = newPodOf(t, owner, pod0, "node", token, claim)
	waitUse(t, claim, allocator.InUse)

	// Deleted by force: the next one waits.
	remove(t, pod)
	waitUse(t, claim, allocator.Held)
	if _, _, err := reserveFor(t, pool, owner, pod0); cause(err) != crdv1.ReasonAddressHeld {
		t.Errorf("while the address is held, the next pod is told: %v", err)
	}

	// A second one, whose ordinal goes when the owner is scaled down.
	token, claim1, err := reserveFor(t, pool, owner, pod1)
	if err != nil {
		t.Fatal(err)
	}
	second := newPodOf(t, owner, pod1, "", token, claim1)
	waitUse(t, claim1, allocator.InUse)
	remove(t, second)
	waitUse(t, claim1, allocator.Unassigned)
	if err := server.Client.Patch(t.Context(), owner, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"replicas":1}}`))); err != nil {
		t.Fatal(err)
	}
	wait(t, claim1, allocator.StateFree)
	if got := use(t, claim); got != allocator.Held {
		t.Errorf("the address of the pod that remains is %s", got)
	}
}

func TestAnOwnerDeletedAndMadeAgainFindsTheAddressesOfItsRunningPods(t *testing.T) {
	lead(t, time.Second)
	pool := newPool(t)
	owner := newStatefulSet(t, fmt.Sprintf("web-%d", names.Add(1)), 2)
	run, idle := owner.Name+"-0", owner.Name+"-1"
	token, claim, err := reserveFor(t, pool, owner, run)
	if err != nil {
		t.Fatal(err)
	}
	newPodOf(t, owner, run, "node", token, claim)
	token, unassigned, err := reserveFor(t, pool, owner, idle)
	if err != nil {
		t.Fatal(err)
	}
	gone := newPodOf(t, owner, idle, "", token, unassigned)
	waitUse(t, claim, allocator.InUse)
	waitUse(t, unassigned, allocator.InUse)
	remove(t, gone)
	waitUse(t, unassigned, allocator.Unassigned)
	if err := server.Client.Delete(t.Context(), owner, client.PropagationPolicy(metav1.DeletePropagationOrphan)); err != nil {
		t.Fatal(err)
	}
	// The control plane of this test has no garbage collector that would orphan.
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	if err := client.IgnoreNotFound(server.Client.Patch(t.Context(), owner, patch)); err != nil {
		t.Fatal(err)
	}
	wait(t, unassigned, allocator.StateFree) // nobody has it, and the owner is gone
	if got := use(t, claim); got != allocator.InUse {
		t.Errorf("the address of a running pod is %s after its owner has gone", got)
	}
}

func TestAnEndpointOfAnEarlierPodStaysUntilItsAddressIsHeld(t *testing.T) {
	first := lead(t, longGrace)
	pool := newPool(t)
	token, claim := reserve(t, pool)
	old := newPod(t, "node", token, claim)
	wait(t, claim, allocator.StateSettled)
	key := client.ObjectKeyFromObject(old)
	apiserver.Eventually(t, "the endpoint is there", func() bool { return server.Client.Get(t.Context(), key, &crdv1.SpiderEndpoint{}) == nil })
	first.end()
	remove(t, old)
	token, next := reserve(t, pool)
	young := podWith(t, "node", token, next)
	young.Name = old.Name
	if err := server.Client.Create(t.Context(), young); err != nil {
		t.Fatal(err)
	}
	lead(t, longGrace)
	waitHeld(t, claim, "node") // the endpoint has told
	apiserver.Eventually(t, "the endpoint is the young pod's", func() bool {
		var se crdv1.SpiderEndpoint
		err := server.Client.Get(t.Context(), key, &se)
		if err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		return err == nil && se.Status.Current.UID == string(young.UID)
	})
}

// Two pods claim one address, as after a restored backup. Both are told, and the younger, which has
// no node, loses its claim.
func TestOfTwoPodsWithOneAddressTheYoungerIsUnbound(t *testing.T) {
	lead(t, longGrace)
	pool := newPool(t)
	token, claim := reserve(t, pool)
	elder := newPod(t, "node", token, claim)
	wait(t, claim, allocator.StateSettled)
	apiserver.Eventually(t, "a second has passed", func() bool { return time.Since(elder.CreationTimestamp.Time) > 2*time.Second })
	younger := newPod(t, "", string(allocator.NewToken()), claim)
	apiserver.Eventually(t, "the younger claims nothing", func() bool {
		if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(younger), younger); err != nil {
			t.Fatal(err)
		}
		return len(younger.Annotations) == 0
	})
	eventually(t, elder, crdv1.ReasonConflict, claim.Address.String(), younger.Name)
	eventually(t, younger, crdv1.ReasonConflict, claim.Address.String(), elder.Name)
	barrier(t, pool)
	if got := state(t, claim); got != allocator.StateSettled {
		t.Errorf("the address is %s", got)
	}
}

// A pool that was brought from another cluster has a mark that this one will not reach for long.
func TestAMarkOfAnotherHistoryIsReset(t *testing.T) {
	first := lead(t, longGrace)
	pool := newPool(t)
	ended, endedClaim := settledPod(t, pool)
	lives, livesClaim := settledPod(t, pool)
	first.end()
	const foreign = 99999999999
	object := get(t, pool).Pool
	object.Status.PodsSeenThrough = strconv.Itoa(foreign)
	if err := server.Client.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	say(t, ended, corev1.PodSucceeded, false)
	lead(t, longGrace)
	touches := 0
	apiserver.Eventually(t, "the mark is reset once the view shows what came after it was found too high", func() bool {
		touches++
		patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{"touched":"%d"}}}`, touches))
		if err := server.Client.Patch(t.Context(), lives, patch); err != nil {
			t.Fatal(err)
		}
		return get(t, pool).Record.SeenThrough() < foreign
	})
	waitHeld(t, endedClaim, "node") // its end was seen while the mark said nothing
	say(t, lives, corev1.PodSucceeded, false)
	wait(t, livesClaim, allocator.StateFree)
}

// settledPod makes a pod on a node, and waits until its address is settled.
func settledPod(t *testing.T, pool string) (*corev1.Pod, crdv1.Claim) {
	t.Helper()
	token, claim := reserve(t, pool)
	pod := newPod(t, "node", token, claim)
	wait(t, claim, allocator.StateSettled)
	apiserver.Eventually(t, "the endpoint of pod "+pod.Name+" is there", func() bool {
		return server.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), &crdv1.SpiderEndpoint{}) == nil
	})
	return pod, claim
}
