package check

import (
	"math"
	"testing"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestCountersCount(t *testing.T) {
	t.Parallel()
	expect(t, faults{
		"an allocated counter that is too low": {
			func(s *Snapshot) { s.Pools[0].Status.AllocatedIPCount = new(int64(3)) },
			[]Violation{{RuleCounters, `pool "blue"`, "allocatedIPCount is 3, recorded are 7", false, 0}},
		},
		"a total that is too high": {
			func(s *Snapshot) { s.Pools[0].Status.TotalIPCount = new(int64(20)) },
			[]Violation{{RuleCounters, `pool "blue"`, "totalIPCount is 20, the pool has 18", true, 0}},
		},
		"a total of a pool that is not Ready": {
			func(s *Snapshot) { s.Pools[1].Status.Conditions, s.Pools[1].Status.TotalIPCount = nil, nil }, nil,
		},
		"a total without a next hop": {
			func(s *Snapshot) {
				s.Pools[1].Spec.Routes = []crdv1.Route{{Dst: "10.9.0.0/16", Gw: "10.0.1.4"}}
				s.Pools[1].Status.TotalIPCount = new(int64(3))
			}, nil,
		},
		"a total of more addresses than it can count": {
			func(s *Snapshot) {
				s.Pools[1].Spec.Subnet, s.Pools[1].Spec.IPs = "fc00::/64", []string{"fc00::-fc00::ffff:ffff:ffff:ffff"}
				s.Pools[1].Status.TotalIPCount = new(int64(math.MaxInt64))
			}, nil,
		},
		"a free counter that is too high": {
			func(s *Snapshot) {
				s.Pools[0].Status.InService, s.Pools[0].Status.FreeIPCount = []string{"10.0.0.1-10.0.0.19"}, new(int64(12))
			},
			[]Violation{{RuleCounters, `pool "blue"`, "freeIPCount is 12, in service and not taken are 11", false, 0}},
		},
		"what is taken, excluded, a gateway or out of service is not free": {
			func(s *Snapshot) {
				s.Pools[0].Status.InService, s.Pools[0].Status.FreeIPCount = []string{"10.0.0.1-10.0.0.15", "10.0.0.20-10.0.0.30"}, new(int64(7))
			}, nil,
		},
		"nothing in service": {
			func(s *Snapshot) { s.Pools[1].Generation, s.Pools[1].Status.FreeIPCount = 1, new(int64(0)) }, nil,
		},
		"a free counter of a spec that the leader has not judged": {
			func(s *Snapshot) {
				s.Pools[1].Generation = 2
				s.Pools[1].Status.InService, s.Pools[1].Status.FreeIPCount = []string{"10.0.1.1-10.0.1.4"}, new(int64(2))
			},
			[]Violation{{RuleCounters, `pool "green"`, "freeIPCount is 2, in service and not taken are 4", true, 0}},
		},
		"a free counter of more addresses than it can count": {
			func(s *Snapshot) {
				s.Pools[1].Spec.Subnet, s.Pools[1].Spec.IPs = "fc00::/64", []string{"fc00::-fc00::ffff:ffff:ffff:ffff"}
				s.Pools[1].Status.InService, s.Pools[1].Status.TotalIPCount = s.Pools[1].Spec.IPs, new(int64(math.MaxInt64))
				s.Pools[1].Status.FreeIPCount = new(int64(math.MaxInt64))
			}, nil,
		},
		"a record that cannot be read": {
			func(s *Snapshot) { s.Pools[1].Status.Settled = []string{"nonsense"} },
			[]Violation{{RuleCounters, `pool "green"`, `status.settled[0]: "nonsense": "nonsense": not an address`, false, 0}},
		},
	})
}
