package behaviours

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// CreateWaiting makes a pod that must be admitted without an address, and gated.
func (e *Env) CreateWaiting(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if err := e.Client.Create(t.Context(), pod); err != nil {
		t.Fatalf("creating pod %s/%s: %v", pod.Namespace, pod.Name, err)
	}
	if err := Waits(pod); err != nil {
		t.Fatal(err)
	}
}

// Waits returns an error unless a pod has our gate and carries nothing.
func Waits(pod *corev1.Pod) error {
	if !Gated(pod) {
		return fmt.Errorf("pod %s/%s lacks the gate: %v", pod.Namespace, pod.Name, pod.Spec.SchedulingGates)
	}
	return CarriesNothing(pod)
}

// CarriesNothing returns an error if a pod has addresses, or something of them.
func CarriesNothing(pod *corev1.Pod) error {
	claims, errs := crdv1.ClaimsOf(pod.Annotations)
	if _, token := pod.Annotations[crdv1.AnnotationReservation]; len(claims) > 0 || len(errs) > 0 || token {
		return fmt.Errorf("pod %s/%s carries something of an address: %v", pod.Namespace, pod.Name, pod.Annotations)
	}
	return nil
}

// Gated reports whether a pod has our scheduling gate.
func Gated(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool {
		return g.Name == crdv1.GateWaitingForAddress
	})
}

// Pod reads the newest state of a pod, into it too.
func (e *Env) Pod(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	if err := e.Client.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// AwaitPod waits until a pod is as wanted, and reads it into pod.
func (e *Env) AwaitPod(t *testing.T, pod *corev1.Pod, wanted func(*corev1.Pod) error) {
	t.Helper()
	Eventually(t, Patience, func(ctx context.Context) error {
		var now corev1.Pod
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(pod), &now); err != nil {
			return err
		}
		now.DeepCopyInto(pod)
		return wanted(pod)
	})
}

// AwaitAssigned waits until a pod carries addresses, without our gate, and returns what its default
// NIC was given.
func (e *Env) AwaitAssigned(t *testing.T, pod *corev1.Pod) crdv1.Assigned {
	t.Helper()
	e.AwaitPod(t, pod, func(now *corev1.Pod) error {
		claims, errs := crdv1.ClaimsOf(now.Annotations)
		if len(errs) > 0 {
			return errors.Join(errs...)
		}
		if len(claims) == 0 || Gated(now) {
			return fmt.Errorf("pod %s/%s carries %v, has gates %v and says %+v",
				now.Namespace, now.Name, claims, now.Spec.SchedulingGates, Condition(now))
		}
		return nil
	})
	return Assigned(t, pod)
}

// Condition returns what a pod says of its address; nil where it says nothing.
func Condition(pod *corev1.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == crdv1.ConditionAddressAssigned {
			return c
		}
	}
	return nil
}

// AwaitReason waits until a pod says that it has no address for one of the reasons, by its
// condition and by a Warning event, and returns the message of the condition.
func (e *Env) AwaitReason(t *testing.T, pod *corev1.Pod, reasons ...string) string {
	t.Helper()
	e.AwaitPod(t, pod, func(now *corev1.Pod) error {
		c := Condition(now)
		if c == nil || c.Status != corev1.ConditionFalse || !slices.Contains(reasons, c.Reason) {
			return fmt.Errorf("the condition of pod %s/%s is %+v, want it False for one of %q", now.Namespace, now.Name, c, reasons)
		}
		return nil
	})
	c := Condition(pod)
	e.AwaitEvent(t, pod, corev1.EventTypeWarning, c.Reason)
	return c.Message
}

// AwaitSaysAssigned waits until a pod that waited says that it has its addresses.
func (e *Env) AwaitSaysAssigned(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	e.AwaitPod(t, pod, func(now *corev1.Pod) error {
		if c := Condition(now); c == nil || c.Status != corev1.ConditionTrue || c.Reason != crdv1.ReasonAssigned {
			return fmt.Errorf("the condition of pod %s/%s is %+v, want it True", now.Namespace, now.Name, c)
		}
		return nil
	})
	e.AwaitEvent(t, pod, corev1.EventTypeNormal, crdv1.ReasonAssigned)
}

// Events lists the events of a pod.
func (e *Env) Events(ctx context.Context, pod *corev1.Pod) ([]corev1.Event, error) {
	var list corev1.EventList
	err := e.Client.List(ctx, &list, client.InNamespace(pod.Namespace), client.MatchingFields{"involvedObject.uid": string(pod.UID)})
	if err != nil {
		return nil, fmt.Errorf("listing events of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return list.Items, nil
}

// AwaitEvent waits for an event of a pod, and returns what it says.
func (e *Env) AwaitEvent(t *testing.T, pod *corev1.Pod, kind, reason string) string {
	t.Helper()
	message := ""
	Eventually(t, Patience, func(ctx context.Context) error {
		events, err := e.Events(ctx, pod)
		if err != nil {
			return err
		}
		var seen []string
		for _, event := range events {
			if event.Type == kind && event.Reason == reason {
				message = event.Message
				return nil
			}
			seen = append(seen, event.Type+" "+event.Reason)
		}
		return fmt.Errorf("no %s event %s of pod %s/%s; there are %q", kind, reason, pod.Namespace, pod.Name, seen)
	})
	return message
}
