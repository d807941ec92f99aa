package check

import "fmt"

// checkCounters compares counters with the sets they count. The total and the number of free
// addresses follow the spec with the leader's next write; the number of taken addresses changes in
// the same write as the set. Releases before this one did not count free addresses.
func checkCounters(pools map[string]pool) []Violation { // pools: name -> pool
	var found []Violation
	for _, p := range pools {
		if p.record != nil {
			if got, want := count(p.Status.AllocatedIPCount), p.record.count(); got != want {
				found = append(found, Violation{
					Rule: RuleCounters, Subject: p.subject(), Detail: fmt.Sprintf("allocatedIPCount is %d, recorded are %d", got, want),
				})
			}
		}
		if p.record != nil && p.serves != nil && p.Status.FreeIPCount != nil {
			if got, want := *p.Status.FreeIPCount, p.free(); got != want {
				found = append(found, Violation{
					Rule: RuleCounters, Subject: p.subject(), Passing: !p.judged(),
					Detail: fmt.Sprintf("freeIPCount is %d, in service and not taken are %d", got, want),
				})
			}
		}
		if p.space != nil && p.ready {
			if got, want := count(p.Status.TotalIPCount), size(p.space); got != want {
				found = append(found, Violation{
					Rule: RuleCounters, Subject: p.subject(), Passing: true,
					Detail: fmt.Sprintf("totalIPCount is %d, the pool has %d", got, want),
				})
			}
		}
	}
	return found
}

func count(c *int64) int64 {
	if c == nil {
		return 0
	}
	return *c
}
