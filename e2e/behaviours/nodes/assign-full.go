package nodes

import (
	"context"
	_ "embed" // the manifest
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed assign-full.yaml
var assignFullManifest []byte

// AssignFull proves: with the pool full pods wait gated, and condition, events and `kubectl
// describe pod` say for which pool and why; of those that wait, the one that waits longest has the
// next address, whoever comes in that moment, and runs with it.
var AssignFull = behaviours.Behaviour{ID: "assign-full", Manifest: assignFullManifest, Test: assignFull}

func assignFull(t *testing.T, e *behaviours.Env) {
	newPod := func(name string) *corev1.Pod { return podOf("assign-full", name, "assign-full") }
	first, second := newPod("first"), newPod("second")
	given := runs(t, e, first)
	runs(t, e, second)

	// By their names they would be served the other way round.
	longest, later, newcomer := newPod("waiting-c"), newPod("waiting-b"), newPod("waiting-a")
	waitsSaying(t, e, longest, crdv1.ReasonPoolFull)
	inAnotherSecond(t, longest)
	waitsSaying(t, e, later, crdv1.ReasonQueued)
	inAnotherSecond(t, later)

	t.Run("the longest waiting has the next address", func(t *testing.T) {
		remove(t, e, first)
		e.CreateWaiting(t, newcomer)
		startsWith(t, e, longest, second, given.String())
		waitsStill(t, e, later, crdv1.ReasonPoolFull) // the first of those who are left
		waitsStill(t, e, newcomer, crdv1.ReasonQueued)
	})
	t.Run("then the next has the next", func(t *testing.T) {
		address := addressOf(t, second).String()
		remove(t, e, second)
		startsWith(t, e, later, longest, address)
		waitsStill(t, e, newcomer, crdv1.ReasonPoolFull)
	})
	t.Run("and the last has the last", func(t *testing.T) {
		remove(t, e, longest)
		startsWith(t, e, newcomer, later, given.String())
	})
	e.DeleteAll(t, "assign-full")
}

// waitsSaying makes a pod that must wait, and looks whether it says why wherever one may look.
func waitsSaying(t *testing.T, e *behaviours.Env, pod *corev1.Pod, reason string) {
	t.Helper()
	e.CreateWaiting(t, pod)
	message := e.AwaitReason(t, pod, reason)
	event := e.AwaitEvent(t, pod, corev1.EventTypeWarning, reason)
	described := e.Kubectl(t, "describe", "pod", "-n", pod.Namespace, pod.Name)
	why := []string{`pool "assign-full": all 2 addresses are taken`}
	if reason == crdv1.ReasonQueued {
		why = append(why, "other pods wait longer")
	}
	for where, text := range map[string]string{"condition": message, "event": event, "description": described} {
		for _, words := range why {
			if !strings.Contains(text, words) {
				t.Errorf("the %s of pod %s does not say %q:\n%s", where, pod.Name, words, text)
			}
		}
	}
	if !strings.Contains(described, reason) {
		t.Errorf("the description of pod %s does not have %s:\n%s", pod.Name, reason, described)
	}
	t.Logf("kubectl describe pod %s ends with:\n%s", pod.Name, described[max(0, strings.Index(described, "Conditions:")):])
}

// waitsStill fails if a pod has got anything, and waits until it says why it has not.
func waitsStill(t *testing.T, e *behaviours.Env, pod *corev1.Pod, reason string) {
	t.Helper()
	e.AwaitReason(t, pod, reason)
	if err := behaviours.Waits(e.Pod(t, pod)); err != nil {
		t.Error(err)
	}
}

// startsWith waits until a pod that waited runs with an address and is reached by another pod.
func startsWith(t *testing.T, e *behaviours.Env, pod, by *corev1.Pod, want string) {
	t.Helper()
	e.AwaitAssigned(t, pod)
	if got := reachable(t, e, pod).String(); got != want {
		t.Errorf("pod %s was given %s, want %s, which was freed", pod.Name, got, want)
	}
	e.Kubectl(t, "exec", "-n", by.Namespace, by.Name, "--", "ping", "-c", "1", "-W", "10", want)
	e.AwaitSaysAssigned(t, pod)
}

// inAnotherSecond waits until pods are made later than one was, as the API server tells their ages.
func inAnotherSecond(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	behaviours.Eventually(t, behaviours.Patience, func(context.Context) error {
		if !time.Now().Truncate(time.Second).After(pod.CreationTimestamp.Time) {
			return errors.New("it is the same second")
		}
		return nil
	})
}
