package check

import (
	"fmt"
	"net/netip"
)

// checkDoubles checks I1.
func checkDoubles(holders []holder) []Violation {
	var found []Violation
	first := map[netip.Addr]holder{} // address -> the first holder that was seen
	for _, h := range holders {
		for _, c := range h.claims {
			if other, ok := first[c.Address]; ok {
				found = append(found, double(c.Address, other, h))
				continue
			}
			first[c.Address] = h
		}
	}
	return found
}

func double(a netip.Addr, one, other holder) Violation {
	return Violation{
		Rule: RuleDouble, Subject: fmt.Sprintf("address %s", a),
		Detail: fmt.Sprintf("pods %s (%s) and %s (%s) carry it", one.name(), one.UID, other.name(), other.UID),
	}
}
