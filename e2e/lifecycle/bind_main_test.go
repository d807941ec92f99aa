package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/lifecycle"
	"spidernet.io/spiderpool/allocator/lifecycle/latebind"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/apiserver"
)

// wantsKey is the annotation by which pods of these tests ask for pools: the candidates of a family
// separated by "|", families by ";". A pod without it is none of ours.
const wantsKey = "test.example/pools"

// byAnnotation chooses what wantsKey says.
type byAnnotation struct {
	// refuse, if set, may return an error instead of a choice.
	refuse func(context.Context, *corev1.Pod) error
	// between, if set, is called when addresses are reserved and not written yet.
	between func(*corev1.Pod)

	mu    sync.Mutex
	asked map[types.UID]int // pod -> how often it was chosen for
}

func (c *byAnnotation) Choose(ctx context.Context, pod *corev1.Pod) (choice.Choice, error) {
	c.mu.Lock()
	if c.asked == nil {
		c.asked = map[types.UID]int{}
	}
	c.asked[pod.UID]++
	c.mu.Unlock()
	wants, ok := pod.Annotations[wantsKey]
	if !ok {
		return choice.Choice{}, nil
	}
	if c.refuse != nil {
		if err := c.refuse(ctx, pod); err != nil {
			return choice.Choice{}, err
		}
	}
	chosen := choice.Choice{Ours: true, Rule: "annotation " + wantsKey}
	var pools [][]string
	for slot := range strings.SplitSeq(wants, ";") {
		pools = append(pools, strings.Split(slot, "|"))
	}
	chosen.Slots = slotsOf(pools...)
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil && owner.Kind == "StatefulSet" {
		chosen.Reservation.For = allocator.Identity{Namespace: pod.Namespace, Group: "apps", Kind: owner.Kind, Name: owner.Name, Pod: pod.Name}
		chosen.Reservation.ForUID = string(owner.UID)
	}
	chosen.Patch = func(token string, claims []crdv1.Claim) (choice.Patch, error) {
		if c.between != nil {
			c.between(pod)
		}
		written, err := annotations(token, claims)
		return choice.Patch{Annotations: written}, err
	}
	return chosen, nil
}

func (c *byAnnotation) times(pod *corev1.Pod) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[pod.UID]
}

func annotations(token string, claims []crdv1.Claim) (map[string]string, error) {
	a := crdv1.Assigned{Interface: crdv1.DefaultNIC}
	for _, c := range claims {
		if c.Address.Is4() {
			a.IPv4Pool, a.IPv4 = c.Pool, netip.PrefixFrom(c.Address, 24).String()
			continue
		}
		a.IPv6Pool, a.IPv6 = c.Pool, netip.PrefixFrom(c.Address, 64).String()
	}
	value, err := json.Marshal(a)
	return map[string]string{crdv1.AnnotationAssignedPrefix + a.Interface: string(value), crdv1.AnnotationReservation: token}, err
}

// leadBinding starts a leader that binds late what chooser says.
func leadBinding(t *testing.T, chooser latebind.Chooser) *leader {
	t.Helper()
	return lead(t, longGrace, func(o *lifecycle.Options) { o.Chooser = chooser })
}

// newPoolOf makes a Ready pool of so many addresses of a family.
func newPoolOf(t *testing.T, family, size int) string {
	t.Helper()
	net := newNet()
	spec := crdv1.IPPoolSpec{Subnet: fmt.Sprintf("10.0.%d.0/24", net), IPs: []string{fmt.Sprintf("10.0.%d.1-10.0.%d.%d", net, net, size)}}
	if family == 6 {
		spec = crdv1.IPPoolSpec{Subnet: fmt.Sprintf("fd00:%x::/64", net), IPs: []string{fmt.Sprintf("fd00:%x::1-fd00:%x::%x", net, net, size)}}
	}
	pool := &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pool-%d", names.Add(1))}, Spec: spec}
	if err := server.Client.Create(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "pool "+pool.Name+" is Ready", func() bool {
		return meta.IsStatusConditionTrue(get(t, pool.Name).Pool.Status.Conditions, crdv1.ConditionReady)
	})
	return pool.Name
}

// waiting makes a pod as it was admitted without an address: gated, unless a test edits it.
func waiting(t *testing.T, wants string, edits ...func(*corev1.Pod)) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: fmt.Sprintf("waiting-%06d", names.Add(1)), Annotations: map[string]string{wantsKey: wants},
		},
		Spec: corev1.PodSpec{
			Containers:      []corev1.Container{{Name: "c", Image: "busybox"}},
			SchedulingGates: []corev1.PodSchedulingGate{{Name: crdv1.GateWaitingForAddress}},
		},
	}
	if wants == "" {
		pod.Annotations = nil
	}
	for _, edit := range edits {
		edit(pod)
	}
	if err := server.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// ungated makes a pod one that did not pass the webhook, and is bound to a node.
func ungated(pod *corev1.Pod) { pod.Spec.SchedulingGates, pod.Spec.NodeName = nil, "node" }

func gatedBy(gate string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: gate})
	}
}

// now reads a pod.
func now(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	var p corev1.Pod
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

func conditionOf(pod *corev1.Pod) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == crdv1.ConditionAddressAssigned {
			return c
		}
	}
	return corev1.PodCondition{}
}

// awaitReason waits until a pod says by condition and event why it waits, and returns the message.
func awaitReason(t *testing.T, pod *corev1.Pod, reason string) string {
	t.Helper()
	var c corev1.PodCondition
	apiserver.Eventually(t, fmt.Sprintf("%s waits: %s", pod.Name, reason), func() bool {
		c = conditionOf(now(t, pod))
		return c.Status == corev1.ConditionFalse && c.Reason == reason
	})
	awaitEvent(t, pod, corev1.EventTypeWarning, reason, c.Message)
	return c.Message
}

func awaitEvent(t *testing.T, pod *corev1.Pod, kind, reason, message string) {
	t.Helper()
	apiserver.Eventually(t, fmt.Sprintf("%s has event %s %s %q", pod.Name, kind, reason, message), func() bool {
		var list corev1.EventList
		if err := server.Client.List(t.Context(), &list, client.InNamespace(pod.Namespace)); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list.Items, func(e corev1.Event) bool {
			return e.InvolvedObject.UID == pod.UID && e.Type == kind && e.Reason == reason && strings.Contains(e.Message, message)
		})
	})
}

// awaitBound waits until a pod has addresses, and nothing looks as if it waited, and returns its
// claims.
func awaitBound(t *testing.T, pod *corev1.Pod) []crdv1.Claim {
	t.Helper()
	var claims []crdv1.Claim
	apiserver.Eventually(t, pod.Name+" is bound", func() bool {
		p := now(t, pod)
		var errs []error
		if claims, errs = crdv1.ClaimsOf(p.Annotations); len(errs) > 0 {
			t.Fatal(errors.Join(errs...))
		}
		c := conditionOf(p)
		return len(claims) > 0 && len(p.Spec.SchedulingGates) == 0 && c.Status == corev1.ConditionTrue && c.Reason == crdv1.ReasonAssigned
	})
	awaitEvent(t, pod, corev1.EventTypeNormal, crdv1.ReasonAssigned, claims[0].Address.String())
	for _, c := range claims {
		wait(t, c, allocator.StateSettled)
	}
	return claims
}

func isBound(t *testing.T, pod *corev1.Pod) bool {
	t.Helper()
	return now(t, pod).Annotations[crdv1.AnnotationReservation] != ""
}

// occupy fills a pool with pods that never had a node: when they are deleted their addresses come
// free at once.
func occupy(t *testing.T, pool string) []*corev1.Pod {
	t.Helper()
	var pods []*corev1.Pod
	for s := get(t, pool); uint64(s.Record.Count()) < s.Space.Size(); s = get(t, pool) {
		token, claim := reserve(t, pool)
		pods = append(pods, newPod(t, "", token, claim))
		wait(t, claim, allocator.StateSettled)
	}
	return pods
}

// change edits the record of a pool as something else than this leader would.
func change(t *testing.T, pool string, do func(*ledger.Tx) error) {
	t.Helper()
	l := ledger.New(ledger.Options{API: ledger.NewAPI(server.Client), Pools: none{}})
	if err := l.Apply(t.Context(), pool, ledger.Change{Do: do}); err != nil {
		t.Fatal(err)
	}
}

func awaitWaitedFor(t *testing.T, pool string, want bool) {
	t.Helper()
	apiserver.Eventually(t, fmt.Sprintf("pool %s is waited for: %t", pool, want), func() bool { return get(t, pool).Pool.Status.WaitedFor == want })
}
