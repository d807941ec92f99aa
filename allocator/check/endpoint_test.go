package check

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestEndpointsSayWhatTheirPodsDo(t *testing.T) {
	t.Parallel()
	expect(t, faults{
		"no endpoint": {
			func(s *Snapshot) { s.Endpoints = nil },
			[]Violation{{RuleEndpoint, "endpoint shop/settled", "missing although pod settled-uid carries addresses on node node1", true, 0}},
		},
		"an endpoint without a pod": {
			func(s *Snapshot) {
				s.Endpoints = append(s.Endpoints, crdv1.SpiderEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "gone"}})
			},
			[]Violation{{RuleEndpoint, "endpoint shop/gone", "is there although no live pod has the name", true, 0}},
		},
		"an endpoint of a pod without address": {
			func(s *Snapshot) {
				s.Endpoints = append(s.Endpoints, crdv1.SpiderEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "none"}})
			},
			[]Violation{{RuleEndpoint, "endpoint shop/none", "is there although its pod carries no address", true, 0}},
		},
		"an endpoint that says nothing": {
			func(s *Snapshot) { s.Endpoints[0].Status.Current = nil },
			[]Violation{{RuleEndpoint, "endpoint shop/settled", "says nothing of its pod", true, 0}},
		},
		"an endpoint of an earlier pod": {
			func(s *Snapshot) { s.Endpoints[0].Status.Current.UID = "old" },
			[]Violation{{RuleEndpoint, "endpoint shop/settled", "is of pod old, the pod is settled-uid", true, 0}},
		},
		"an endpoint with another node": {
			func(s *Snapshot) { s.Endpoints[0].Status.Current.Node = "node2" },
			[]Violation{{RuleEndpoint, "endpoint shop/settled", `says node "node2", the pod is on "node1"`, true, 0}},
		},
		"an endpoint with another address": {
			func(s *Snapshot) { s.Endpoints[0].Status.Current.IPs[0].IPv4 = "10.0.0.5/16" },
			[]Violation{{
				RuleEndpoint, "endpoint shop/settled",
				`says ["eth0" "10.0.0.5/16" "blue" "" ""], the pod carries ["eth0" "10.0.0.1/16" "blue" "" ""]`, true, 0,
			}},
		},
		"an endpoint with a NIC less": {
			func(s *Snapshot) { s.Endpoints[0].Status.Current.IPs = nil },
			[]Violation{{RuleEndpoint, "endpoint shop/settled", "has 0 NICs, the pod has 1", true, 0}},
		},
	})
}
