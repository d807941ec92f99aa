package check

import (
	"cmp"
	"fmt"
	"slices"

	"go4.org/netipx"
)

// checkOverlap finds Ready pools with an address in common, and names the first address of each
// pair.
func checkOverlap(pools map[string]pool) []Violation { // pools: name -> pool
	type part struct {
		netipx.IPRange
		pool string
	}
	var parts []part
	for _, p := range pools {
		if p.serves == nil {
			continue
		}
		for _, r := range p.serves.Ranges() {
			parts = append(parts, part{r, p.Name})
		}
	}
	slices.SortFunc(parts, func(a, b part) int {
		return cmp.Or(a.From().Compare(b.From()), cmp.Compare(a.pool, b.pool))
	})
	var found []Violation
	reported := map[[2]string]bool{} // two names, in order -> reported already
	for i, a := range parts {
		for _, b := range parts[i+1:] {
			if a.To().Less(b.From()) {
				break // nor does any later one overlap
			}
			two := [2]string{min(a.pool, b.pool), max(a.pool, b.pool)}
			if reported[two] {
				continue
			}
			reported[two] = true
			end := a.To()
			if b.To().Less(end) {
				end = b.To()
			}
			found = append(found, Violation{
				Rule: RulePools, Subject: fmt.Sprintf("pool %q", two[0]),
				Detail: fmt.Sprintf("Ready, and so is pool %q, which has %s too", two[1], spelled(netipx.IPRangeFrom(b.From(), end))),
			})
		}
	}
	return found
}
