package check

import "testing"

func TestReadyPoolsAreReadableAndDisjoint(t *testing.T) {
	t.Parallel()
	expect(t, faults{
		"two Ready pools that overlap": {
			func(s *Snapshot) { s.Pools[1].Spec.IPs = []string{"10.0.0.19-10.0.0.22"} },
			[]Violation{{RulePools, `pool "blue"`, `Ready, and so is pool "green", which has 10.0.0.19 too`, false, 0}},
		},
		"a Ready pool that is inside of another": {
			func(s *Snapshot) { s.Pools[1].Spec.IPs = []string{"10.0.0.8-10.0.0.9", "10.0.0.12-10.0.0.13"} },
			[]Violation{{RulePools, `pool "blue"`, `Ready, and so is pool "green", which has 10.0.0.8-10.0.0.9 too`, false, 0}},
		},
		"three Ready pools that overlap": {
			func(s *Snapshot) {
				s.Pools[1].Spec.IPs = []string{"10.0.0.19-10.0.0.22"}
				s.Pools = append(s.Pools, readyPool("red", "10.0.0.19-10.0.0.22"))
			},
			[]Violation{
				{RulePools, `pool "blue"`, `Ready, and so is pool "green", which has 10.0.0.19 too`, false, 0},
				{RulePools, `pool "blue"`, `Ready, and so is pool "red", which has 10.0.0.19 too`, false, 0},
				{RulePools, `pool "green"`, `Ready, and so is pool "red", which has 10.0.0.19-10.0.0.22 too`, false, 0},
			},
		},
		"pools that overlap, one of which does not hand that out": {
			func(s *Snapshot) {
				s.Pools[1].Spec.IPs = append(s.Pools[1].Spec.IPs, "10.0.0.19")
				s.Pools[1].Status.InService = []string{"10.0.1.1-10.0.1.4"}
				s.Pools[1].Status.TotalIPCount = new(int64(5))
			}, nil,
		},
		"pools that overlap, one of which was edited and not judged yet": {
			func(s *Snapshot) {
				s.Pools[1].Spec.IPs, s.Pools[1].Generation = []string{"10.0.0.19-10.0.0.22"}, 7
			}, nil,
		},
		"what is in service cannot be read": {
			func(s *Snapshot) { s.Pools[1].Status.InService = []string{"10.0.1.4-10.0.1.1"} },
			[]Violation{{RulePools, `pool "green"`, "Ready although status.inService[0]: 10.0.1.4-10.0.1.1: start after end", false, 0}},
		},
		"pools that overlap, one of them not Ready": {
			func(s *Snapshot) {
				s.Pools[1].Spec.IPs, s.Pools[1].Status.Conditions = []string{"10.0.0.19-10.0.0.22"}, nil
			}, nil,
		},
		"a Ready pool with addresses outside of its subnet": {
			func(s *Snapshot) { s.Pools[1].Spec.Subnet = "10.0.0.0/24" },
			[]Violation{{RulePools, `pool "green"`, "Ready although spec.ips[0]: 10.0.1.1-10.0.1.4: outside of subnet 10.0.0.0/24", false, 0}},
		},
		"a Ready pool that cannot be read": {
			func(s *Snapshot) {
				s.Pools[1].Spec.IPs, s.Pools[1].Status.TotalIPCount = []string{"10.0.1.9-10.0.1.1"}, nil
			},
			[]Violation{{RulePools, `pool "green"`, "Ready although spec.ips[0]: 10.0.1.9-10.0.1.1: start after end", false, 0}},
		},
	})
}
