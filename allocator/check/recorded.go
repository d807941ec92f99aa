package check

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"
)

// checkRecorded checks I2. A pool that cannot be read is reported elsewhere.
func checkRecorded(holders []holder, pools map[string]pool) []Violation { // pools: name -> pool
	var found []Violation
	for _, h := range holders {
		for _, c := range h.claims {
			p, ok := pools[c.Pool]
			why := "which does not exist"
			switch {
			case ok && p.record == nil:
				continue
			case ok:
				why = p.record.missing(h, c.Address)
			}
			if why != "" {
				found = append(found, Violation{
					Rule: RuleRecorded, Subject: "pod " + h.name(), Detail: fmt.Sprintf("carries %s of pool %q, %s", c.Address, c.Pool, why),
					Passing: ok && !p.ready, // what pods have is being put back
				})
			}
		}
	}
	return found
}

// missing says why a record does not have an address for h; empty where it does. It does not matter
// how many other addresses h has of the pool.
func (r *record) missing(h holder, a netip.Addr) string {
	if r.settled.Contains(a) {
		return ""
	}
	e, ok := r.at(a)
	switch {
	case !ok:
		return "where it is free"
	case e.kept != nil && (e.kept.Namespace != h.Namespace || e.kept.pod != h.Name):
		return fmt.Sprintf("where it is retained for pod %s/%s", e.kept.Namespace, e.kept.pod)
	case e.inUse:
		return ""
	case e.awaits != nil:
		if e.awaits.token == h.token || e.awaits.uid != "" && e.awaits.uid == string(h.UID) {
			return ""
		}
		return "where it is " + e.awaiting()
	case e.held != nil:
		return fmt.Sprintf("where it is held for node %s since %s", cmp.Or(e.held.node, "unknown"), e.held.since.Format(time.RFC3339))
	}
	return "where it is retained for the pod, and unassigned"
}

// awaiting says for which admission an address is reserved.
func (e entry) awaiting() string {
	state := "reserved"
	if e.kept != nil {
		state = "pending admission"
	}
	return fmt.Sprintf("%s for token %s in namespace %s", state, e.awaits.token, e.awaits.namespace)
}
