package controlplane

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed assign-full.yaml
var assignFullManifest []byte

// AssignFull proves: a pod whose pools are full is admitted, waits with the gate and says why in
// what `kubectl describe pod` shows; it takes nothing in other pools meanwhile (I9); what is freed
// goes to the waiting, higher priority first, then the longest waiting, and to nobody who comes
// now.
var AssignFull = behaviours.Behaviour{ID: "assign-full", Manifest: assignFullManifest, Test: assignFull}

const (
	fullSmall = "assign-full-small"
	fullSix   = "assign-full-six"
)

// wantsBoth returns a pod that asks for both families, one of them of a pool that has two
// addresses.
func wantsBoth(name string) *corev1.Pod {
	return behaviours.NewPod("assign-full", name, behaviours.FromPools([]string{"assign-full-off", fullSmall}, []string{fullSix}))
}

func assignFull(t *testing.T, e *behaviours.Env) {
	one, two := wantsBoth("one"), wantsBoth("two")
	e.Create(t, one)
	e.Create(t, two)
	awaitSettled(t, e, fullSmall, 2)

	// The names are against the order in which the pods come.
	first, second, urgent, late := wantsBoth("z"), wantsBoth("y"), wantsBoth("x"), wantsBoth("a")
	urgent.Spec.PriorityClassName = "assign-full-urgent"
	e.CreateWaiting(t, first)
	saysFull(t, e, first)
	awaitLaterThan(t, first)
	e.CreateWaiting(t, second)
	e.AwaitReason(t, second, crdv1.ReasonQueued)
	e.CreateWaiting(t, urgent)
	e.AwaitReason(t, urgent, crdv1.ReasonPoolFull)
	awaitLaterThan(t, second)
	// The other family has addresses, and keeps none for those who wait.
	awaitSettled(t, e, fullSix, 2)

	servedInTurn(t, e, []*corev1.Pod{one, two, urgent}, []*corev1.Pod{urgent, first, second}, late)

	// Who comes when nobody waits any more waits for nothing.
	if err := e.Client.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	e.AwaitAssigned(t, late)
	if err := e.Client.Delete(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	e.AwaitPool(t, fullSmall, func(p *crdv1.SpiderIPPool) error {
		if p.Status.WaitedFor || len(p.Status.Settled) != 1 || *p.Status.AllocatedIPCount != 1 {
			return fmt.Errorf("status is %+v, want one address taken and nobody waiting", p.Status)
		}
		return nil
	})
	e.Create(t, wantsBoth("last"))
	e.DeleteAll(t, "assign-full")
}

// servedInTurn has pods leave one by one, and those that wait be served in their order. The
// newcomer comes when the first has left; it is the last.
func servedInTurn(t *testing.T, e *behaviours.Env, leave, waiting []*corev1.Pod, newcomer *corev1.Pod) {
	for i, leaves := range leave {
		next := waiting[i]
		deleted := time.Now()
		if err := e.Client.Delete(t.Context(), leaves); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			e.CreateWaiting(t, newcomer) // what was freed just now is not for it
		}
		given := e.AwaitAssigned(t, next)
		t.Logf("pod %s had its addresses %s after the end of pod %s", next.Name, time.Since(deleted).Round(time.Millisecond), leaves.Name)
		if given.IPv4Pool != fullSmall || given.IPv6Pool != fullSix {
			t.Errorf("pod %s was given %+v, want an address of each family", next.Name, given)
		}
		e.AwaitSaysAssigned(t, next)
		for _, behind := range append(slices.Clone(waiting[i+1:]), newcomer) {
			if err := behaviours.Waits(e.Pod(t, behind)); err != nil {
				t.Fatalf("when pod %s was served: %v", next.Name, err)
			}
		}
	}
}

// saysFull waits until a pod says of all its candidates why they give it nothing, and that a person
// sees it who only describes the pod.
func saysFull(t *testing.T, e *behaviours.Env, pod *corev1.Pod) {
	t.Helper()
	message := e.AwaitReason(t, pod, crdv1.ReasonPoolFull)
	for _, want := range []string{
		"annotation ipam.spidernet.io/ippool", `pool "assign-full-small": all 2 addresses are taken`, `"assign-full-off"`, "podAffinity app=another",
	} {
		if !strings.Contains(message, want) {
			t.Errorf("the message is %q, want %q in it", message, want)
		}
	}
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		out, err := e.TryKubectl(ctx, "describe", "pod", "-n", pod.Namespace, pod.Name)
		if err != nil {
			return err
		}
		// The description breaks no lines.
		if !strings.Contains(out, crdv1.ReasonPoolFull) || !strings.Contains(out, message) {
			return fmt.Errorf("it shows\n%s\nwant %s and %q in it", out, crdv1.ReasonPoolFull, message)
		}
		return nil
	})
}

// awaitLaterThan waits until pods that are created are younger than pod: the API server counts
// their age in whole seconds.
func awaitLaterThan(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	behaviours.Eventually(t, behaviours.Patience, func(context.Context) error {
		if now := time.Now().Truncate(time.Second); !now.After(pod.CreationTimestamp.Time) {
			return fmt.Errorf("it is still %s", now)
		}
		return nil
	})
}
