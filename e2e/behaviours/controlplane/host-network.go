package controlplane

import (
	_ "embed" // the manifest
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed host-network.yaml
var hostNetworkManifest []byte

// HostNetwork proves: pods on the host's network and mirrors of static pods are admitted as they
// are, whatever their annotations ask for.
var HostNetwork = behaviours.Behaviour{ID: "host-network", Manifest: hostNetworkManifest, Test: hostNetwork}

func hostNetwork(t *testing.T, e *behaviours.Env) {
	const pool = "host-network-pool"
	before := e.Pool(t, pool).ResourceVersion
	onHost := behaviours.NewPod("host-network", "on-host", behaviours.FromPools([]string{pool}, nil))
	onHost.Spec.HostNetwork = true
	missing := behaviours.NewPod("host-network", "missing", behaviours.FromPools([]string{"host-network-no-such-pool"}, nil))
	missing.Spec.HostNetwork = true
	mirror := behaviours.NewPod("host-network", "mirror", behaviours.FromPools([]string{pool}, nil))
	mirror.Annotations[corev1.MirrorPodAnnotationKey] = "hash"
	mirror.Spec.NodeName = "a-node" // wanted of every mirror
	for _, pod := range []*corev1.Pod{onHost, missing, mirror} {
		asked := pod.DeepCopy().Annotations
		if err := e.Client.Create(t.Context(), pod); err != nil {
			t.Fatalf("creating pod %s: %v", pod.Name, err)
		}
		if diff := cmp.Diff(asked, pod.Annotations); diff != "" {
			t.Errorf("annotations of pod %s (-want +got):\n%s", pod.Name, diff)
		}
	}
	if after := e.Pool(t, pool).ResourceVersion; after != before {
		t.Errorf("the pool went from revision %s to %s", before, after)
	}
	e.DeleteAll(t, "host-network")
}
