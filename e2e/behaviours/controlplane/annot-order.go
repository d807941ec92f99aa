package controlplane

import (
	_ "embed" // the manifest
	"testing"

	"github.com/google/go-cmp/cmp"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed annot-order.yaml
var annotOrderManifest []byte

// AnnotOrder proves: candidates are tried in the order given, per family; the next one serves when
// the one before is full or filtered out.
var AnnotOrder = behaviours.Behaviour{ID: "annot-order", Manifest: annotOrderManifest, Test: annotOrder}

func annotOrder(t *testing.T, e *behaviours.Env) {
	const a, b, foreign, six = "annot-order-a", "annot-order-b", "annot-order-foreign", "annot-order-six"
	for _, step := range []struct {
		pod        string
		ipv4, ipv6 []string
		want       crdv1.Assigned
	}{
		{"first", []string{a, b}, nil, crdv1.Assigned{IPv4Pool: a, IPv4: "10.2.0.1/24"}},
		{"turned", []string{b, a}, nil, crdv1.Assigned{IPv4Pool: b, IPv4: "10.2.1.1/24"}},
		{"filtered", []string{foreign, a}, nil, crdv1.Assigned{IPv4Pool: a, IPv4: "10.2.0.2/24"}},
		{"full", []string{a, b}, nil, crdv1.Assigned{IPv4Pool: b, IPv4: "10.2.1.2/24"}},
		{"dual", []string{a, foreign, b}, []string{six}, crdv1.Assigned{
			IPv4Pool: b, IPv4: "10.2.1.3/24", IPv6Pool: six, IPv6: "fc00:2::1/64",
		}},
		{"ipv6", nil, []string{six}, crdv1.Assigned{IPv6Pool: six, IPv6: "fc00:2::2/64"}},
	} {
		got := e.Create(t, behaviours.NewPod("annot-order", step.pod, behaviours.FromPools(step.ipv4, step.ipv6)))
		step.want.Interface = crdv1.DefaultNIC
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("pod %s (-want +got):\n%s", step.pod, diff)
		}
	}
	e.DeleteAll(t, "annot-order")
}
