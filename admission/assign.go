package admission

import (
	"fmt"
	"net/netip"

	"spidernet.io/spiderpool/admission/selection"
	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// assignments returns what each NIC is given: claims[i] belongs to the i-th slot of chosen. Prefix length, gateway, VLAN and routes
// are those of the pools that were granted.
func assignments(chosen selection.Selection, claims []crdv1.Claim) ([]crdv1.Assigned, error) {
	if slots := len(chosen.Slots()); len(claims) != slots {
		return nil, fmt.Errorf("assigning addresses: %d reserved for %d asked for", len(claims), slots)
	}
	assigned := make([]crdv1.Assigned, 0, len(chosen.NICs))
	for _, nic := range chosen.NICs {
		a := crdv1.Assigned{Interface: nic.Name, CleanGateway: nic.CleanGateway}
		for _, want := range nic.Wants {
			if err := add(&a, want, claims[0]); err != nil {
				return nil, fmt.Errorf("assigning %s of %s: %w", want.Family, nic.Name, err)
			}
			claims = claims[1:]
		}
		assigned = append(assigned, a)
	}
	return assigned, nil
}

// add trusts the claim as little as it can: a wrong address in an annotation is a wrong address on the wire.
func add(a *crdv1.Assigned, want selection.Want, claim crdv1.Claim) error {
	var pool *crdv1.SpiderIPPool
	for _, candidate := range want.Candidates {
		if candidate.Name == claim.Pool {
			pool = candidate
		}
	}
	if pool == nil {
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
	switch want.Family {
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
