package check

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestARecordHasOnlyWhatThePoolHandsOut(t *testing.T) {
	t.Parallel()
	expect(t, faults{
		"a next hop is recorded": {
			func(s *Snapshot) {
				s.Pools[0].Spec.Routes = []crdv1.Route{{Dst: "10.9.0.0/16", Gw: "10.0.0.4"}}
				s.Pools[0].Status.TotalIPCount = new(int64(17))
			},
			[]Violation{{RuleForeign, `pool "blue"`, "records 10.0.0.4, which spec does not let it hand out", false, 0}},
		},
		"addresses are recorded that were taken out of the pool": {
			func(s *Snapshot) {
				s.Pools[0].Spec.ExcludeIPs = []string{"10.0.0.3-10.0.0.5"}
				s.Pools[0].Status.TotalIPCount = new(int64(16))
			},
			[]Violation{{RuleForeign, `pool "blue"`, "records 10.0.0.3-10.0.0.5, which spec does not let it hand out", false, 0}},
		},
		"the gateway is recorded": {
			func(s *Snapshot) {
				s.Pools[0].Spec.Gateway = new("10.0.0.4")
			},
			[]Violation{{RuleForeign, `pool "blue"`, "records 10.0.0.4, which spec does not let it hand out", false, 0}},
		},
	})
}

func TestNothingElseUsesThePodsAddresses(t *testing.T) {
	t.Parallel()
	foreign := func(ip string, change ...func(*corev1.Pod)) func(*Snapshot) {
		return func(s *Snapshot) {
			p := pod("foreign", "")
			p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: ip}}}
			for _, f := range change {
				f(&p)
			}
			s.Pods = append(s.Pods, p)
		}
	}
	expect(t, faults{
		"a pod of another IPAM does": {
			foreign("10.0.0.2"),
			[]Violation{{
				RuleForeign, "pod shop/reserved", "carries 10.0.0.2, and pod shop/foreign (foreign-uid) runs with it and does not claim it", false, 0,
			}},
		},
		"a pod of another IPAM does, in another spelling": {
			foreign("::ffff:10.0.0.2"),
			[]Violation{{
				RuleForeign, "pod shop/reserved", "carries 10.0.0.2, and pod shop/foreign (foreign-uid) runs with it and does not claim it", false, 0,
			}},
		},
		"a pod of another IPAM runs with another": {foreign("10.0.0.9"), nil},
		"a pod on a node's network":               {foreign("10.0.0.2", func(p *corev1.Pod) { p.Spec.HostNetwork = true }), nil},
		"a pod that has finished":                 {foreign("10.0.0.2", func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), nil},
		"a node does": {
			func(s *Snapshot) { s.Nodes[0].Status.Addresses[1].Address = "10.0.0.2" },
			[]Violation{{RuleForeign, "pod shop/reserved", "carries 10.0.0.2, and it is an address of node node1", false, 0}},
		},
	})
}
