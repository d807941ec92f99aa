package admission

import (
	"fmt"
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"spidernet.io/spiderpool/allocator"
)

// noHost names the kind of address that no IPv4 router can have: broadcast or network address of
// its subnet; empty for all others. The kernel refuses a route via the broadcast address, and pods
// would stay in ContainerCreating. IPv6's anycast address belongs to routers and is allowed.
func noHost(subnet netip.Prefix, a netip.Addr) string {
	broadcast, what := allocator.Unassignable(subnet)
	switch {
	case what == "" || !subnet.Addr().Is4():
		return ""
	case a == broadcast:
		return what
	case a == subnet.Addr():
		return "the network address"
	}
	return ""
}

// validateRouterAddresses refuses a gateway or next hop that no host can have.
func validateRouterAddresses(c *poolChange) field.ErrorList {
	var errs field.ErrorList
	check := func(path *field.Path, text string) {
		a, err := parseAddress(text)
		if what := noHost(c.now.subnet, a); err == nil && what != "" {
			errs = append(errs, field.Invalid(path, text, fmt.Sprintf("is %s of subnet %s, which no router can have", what, c.now.subnet)))
		}
	}
	if c.spec.Gateway != nil {
		check(c.path.Child("gateway"), *c.spec.Gateway)
	}
	for i, r := range c.spec.Routes {
		check(c.path.Child("routes").Index(i).Child("gw"), r.Gw)
	}
	return errs
}

// validateDestinations refuses routes that are as specific as the route to the pool's own subnet,
// or more: they send traffic between pods that reach one another directly through the next hop. A
// wider destination does not, since the more specific route wins.
func validateDestinations(c *poolChange) field.ErrorList {
	var errs field.ErrorList
	for i, r := range c.spec.Routes {
		dst, err := allocator.ParsePrefix(r.Dst)
		if err != nil || !dst.Overlaps(c.now.subnet) || dst.Bits() < c.now.subnet.Bits() {
			continue
		}
		what := "lies inside"
		if dst == c.now.subnet {
			what = "is"
		}
		errs = append(errs, field.Invalid(c.path.Child("routes").Index(i).Child("dst"), r.Dst,
			fmt.Sprintf("%s the pool's own subnet %s, which pods reach without a router: the route would cut them off from one another", what, c.now.subnet)))
	}
	return errs
}

// addressWarnings warns about addresses that the change adds and that may not do what the user
// expects.
func addressWarnings(c *poolChange) []string {
	var warnings []string
	if a, what := allocator.Unassignable(c.now.subnet); what != "" && c.now.addresses.Contains(a) && !c.was.addresses.Contains(a) {
		text := fmt.Sprintf("spec.ips: %s is %s of subnet %s and is never handed out", a, what, c.now.subnet)
		if c.now.usable.Size() == 0 {
			text += ": the pool has no address to hand out"
		}
		warnings = append(warnings, text)
	}
	network := c.now.subnet.Addr()
	if what := noHost(c.now.subnet, network); what != "" && c.now.usable.Contains(network) && !c.was.usable.Contains(network) {
		warnings = append(warnings, fmt.Sprintf("spec.ips: %s is %s of subnet %s and is handed out: some hosts and routers do not talk to it; exclude it if in doubt",
			network, what, c.now.subnet))
	}
	return warnings
}
