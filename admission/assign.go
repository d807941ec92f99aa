package admission

import (
	"fmt"
	"net/netip"
	"slices"

	"spidernet.io/spiderpool/admission/selection"
	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// assignments returns what each NIC is given: claims[i] belongs to the i-th slot of chosen. Prefix
// length, gateway, VLAN and routes are those of the pool that each address was taken from.
func assignments(chosen selection.Selection, claims []crdv1.Claim) ([]crdv1.Assigned, error) {
	if len(claims) != len(chosen.Slots) {
		return nil, fmt.Errorf("assigning addresses: %d reserved for %d asked for", len(claims), len(chosen.Slots))
	}
	var assigned []crdv1.Assigned
	for i, slot := range chosen.Slots {
		if n := len(assigned); n == 0 || assigned[n-1].Interface != slot.NIC { // the slots of one NIC are neighbours
			assigned = append(assigned, crdv1.Assigned{Interface: slot.NIC, CleanGateway: chosen.CleanGateway[slot.NIC]})
		}
		if err := add(&assigned[len(assigned)-1], slot, chosen.Pools, claims[i]); err != nil {
			return nil, fmt.Errorf("assigning %s of %s: %w", slot.Family, slot.NIC, err)
		}
	}
	return assigned, nil
}

// add trusts the claim as little as it can: a wrong address in an annotation is a wrong address on
// the wire.
func add(a *crdv1.Assigned, slot choice.Slot, pools map[string]*crdv1.SpiderIPPool, claim crdv1.Claim) error {
	pool := pools[claim.Pool]
	if pool == nil || !slices.Contains(slot.Pools, claim.Pool) {
		return fmt.Errorf("address %s is of pool %q, which is no candidate", claim.Address, claim.Pool)
	}
	subnet, err := allocator.ParsePrefix(pool.Spec.Subnet)
	if err != nil {
		return fmt.Errorf("pool %q: spec.subnet: %w", pool.Name, err)
	}
	if !subnet.Contains(claim.Address) {
		return fmt.Errorf("address %s lies outside of subnet %s of pool %q", claim.Address, subnet, pool.Name)
	}
	address, gateway := netip.PrefixFrom(claim.Address, subnet.Bits()).String(), ""
	if pool.Spec.Gateway != nil {
		gateway = *pool.Spec.Gateway
	}
	switch slot.Family {
	case selection.IPv4:
		a.IPv4Pool, a.IPv4, a.IPv4Gateway = pool.Name, address, gateway
	case selection.IPv6:
		a.IPv6Pool, a.IPv6, a.IPv6Gateway = pool.Name, address, gateway
	}
	if pool.Spec.Vlan != nil { // candidates of one NIC agree on it
		a.Vlan = *pool.Spec.Vlan
	}
	a.Routes = append(a.Routes, pool.Spec.Routes...)
	return nil
}
