package controlplane

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed annot-precedence.yaml
var annotPrecedenceManifest []byte

// AnnotPrecedence proves: the pod's annotation beats the namespace's, which beats the cluster's
// default pools. The first rule that applies decides alone: what it cannot give is not asked of the
// next one.
var AnnotPrecedence = behaviours.Behaviour{ID: "annot-precedence", Manifest: annotPrecedenceManifest, Test: annotPrecedence}

func annotPrecedence(t *testing.T, e *behaviours.Env) {
	const annotated, plain = "annot-precedence", "annot-precedence-plain"
	byPod := behaviours.FromPools([]string{"annot-precedence-pod"}, nil)
	for _, step := range []struct {
		namespace, pod string
		annotations    map[string]string
		want           crdv1.Assigned
	}{
		{annotated, "by-pod", byPod, crdv1.Assigned{IPv4Pool: "annot-precedence-pod", IPv4: "10.3.0.1/24"}},
		// The namespace names IPv4 only, so IPv6 is not given though the cluster has a default.
		{annotated, "by-namespace", nil, crdv1.Assigned{IPv4Pool: "annot-precedence-namespace", IPv4: "10.3.1.1/24"}},
		{plain, "by-cluster", nil, crdv1.Assigned{
			IPv4Pool: behaviours.DefaultPoolV4, IPv4: "10.3.2.1/24", IPv6Pool: behaviours.DefaultPoolV6, IPv6: "fc00:3::1/64",
		}},
		{plain, "by-pod", byPod, crdv1.Assigned{IPv4Pool: "annot-precedence-pod", IPv4: "10.3.0.2/24"}},
		{annotated, "by-namespace-too", nil, crdv1.Assigned{IPv4Pool: "annot-precedence-namespace", IPv4: "10.3.1.2/24"}},
	} {
		got := e.Create(t, behaviours.NewPod(step.namespace, step.pod, step.annotations))
		step.want.Interface = crdv1.DefaultNIC
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("pod %s/%s (-want +got):\n%s", step.namespace, step.pod, diff)
		}
	}

	exhausted := behaviours.NewPod(annotated, "exhausted", nil)
	if err := e.Client.Create(t.Context(), exhausted); err != nil {
		t.Fatal(err)
	}
	behaviours.Eventually(t, behaviours.Patience, func(ctx context.Context) error {
		var pod corev1.Pod
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(exhausted), &pod); err != nil {
			return err
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == crdv1.ConditionAddressAssigned && strings.Contains(c.Message, "annotation ipam.spidernet.io/default-ipv4-ippool of namespace annot-precedence") &&
				strings.Contains(c.Message, `"annot-precedence-namespace"`) {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %+v, want that the namespace's pool is full", pod.Status.Conditions)
	})
	refusedByTheStronger(t, e, byPod)
	e.DeleteAll(t, annotated)
	e.DeleteAll(t, plain)
}

// refusedByTheStronger: an annotation that beats another decides even where this version cannot
// serve it yet; the weaker one is never used instead.
func refusedByTheStronger(t *testing.T, e *behaviours.Env, weaker map[string]string) {
	for _, stronger := range []string{crdv1.AnnotationIPPools, crdv1.AnnotationSubnet, crdv1.AnnotationSubnets} {
		annotations := maps.Clone(weaker)
		annotations[stronger] = "[]"
		refusal := e.Refused(t, behaviours.NewPod("annot-precedence-plain", "stronger", annotations))
		if want := "annotation " + stronger + ": not supported yet"; !strings.HasSuffix(refusal, want) {
			t.Errorf("refusal is %q, want it to end with %q", refusal, want)
		}
	}
}
