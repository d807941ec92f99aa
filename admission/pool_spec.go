package admission

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// poolSpec is the parsed spec of a pool. Its zero value has no addresses.
type poolSpec struct {
	subnet        netip.Prefix
	ips, excludes []netipx.IPRange
	gateway       netip.Addr      // invalid where it is not set
	hops          []netip.Addr    // next hops of routes
	addresses     allocator.Space // ips less excludes
	usable        allocator.Space // those of addresses that may be handed out: no router, no broadcast address
}

// routers returns the gateway and the next hops.
func (p *poolSpec) routers() []netip.Addr {
	if !p.gateway.IsValid() {
		return p.hops
	}
	return append(slices.Clip(p.hops), p.gateway)
}

// keeps reports whether a pod that has the address may keep it. An earlier version may have
// assigned one that is not usable.
func (p *poolSpec) keeps(a netip.Addr) bool {
	return p.addresses.Contains(a) && !slices.Contains(p.routers(), a)
}

// ValidatePoolSpec checks a spec without looking at other objects, including what CEL checks, and
// returns the addresses that may be handed out: ips less excludeIPs, gateway, the next hops of
// routes and the broadcast address. The addresses are only valid without errors.
func ValidatePoolSpec(spec *crdv1.IPPoolSpec) (allocator.Space, field.ErrorList) {
	c := poolChange{spec: spec, path: field.NewPath("spec")}
	var errs field.ErrorList
	if c.now, errs = parsePool(spec, c.path); len(errs) > 0 {
		return c.now.usable, errs
	}
	for _, rule := range [...]poolRule{validateSpecial, validateRouterAddresses, validateDestinations} {
		errs = append(errs, rule(&c)...)
	}
	return c.now.usable, errs
}

// parsePool reads a spec. What could not be read is missing in the result; an unreadable subnet
// hides the errors that depend on it.
func parsePool(spec *crdv1.IPPoolSpec, path *field.Path) (poolSpec, field.ErrorList) {
	var p poolSpec
	errs := validateSelectors(spec, path)
	var err error
	if p.subnet, err = allocator.ParsePrefix(spec.Subnet); err != nil {
		return poolSpec{}, append(errs, field.Invalid(path.Child("subnet"), spec.Subnet, reason(err, spec.Subnet)))
	}
	if v := spec.IPVersion; v != nil && *v != versionOf(p.subnet.Addr()) {
		errs = append(errs, field.Invalid(path.Child("ipVersion"), *v, fmt.Sprintf("subnet %s is IPv%d", p.subnet, versionOf(p.subnet.Addr()))))
	}
	var more field.ErrorList
	p.ips, more = parseRanges(spec.IPs, p.subnet, path.Child("ips"))
	errs = append(errs, more...)
	if len(more) == 0 {
		errs = append(errs, validateEntriesDisjoint(p.ips, spec.IPs, path.Child("ips"))...)
	}
	p.excludes, more = parseRanges(spec.ExcludeIPs, p.subnet, path.Child("excludeIPs"))
	errs = append(errs, more...)
	if p.addresses, err = allocator.NewSpace(p.ips, p.excludes); err != nil { // all lie in one subnet, so this cannot fail
		errs = append(errs, field.InternalError(path.Child("ips"), err))
	}
	p.gateway, more = parseGateway(spec.Gateway, p.subnet, path.Child("gateway"))
	errs = append(errs, more...)
	for _, r := range spec.Routes {
		if hop, err := parseAddress(r.Gw); err == nil && p.subnet.Contains(hop) {
			p.hops = append(p.hops, hop)
		}
	}
	if p.usable, err = allocator.SpaceIn(p.subnet, p.ips, p.excludes, p.routers()); err != nil { // nor this
		errs = append(errs, field.InternalError(path.Child("ips"), err))
	}
	return p, append(errs, validateRoutes(spec.Routes, p.subnet, p.gateway, path.Child("routes"))...)
}

// parseRanges reads entries of ips or excludeIPs.
func parseRanges(entries []string, subnet netip.Prefix, path *field.Path) ([]netipx.IPRange, field.ErrorList) {
	var errs field.ErrorList
	ranges := make([]netipx.IPRange, 0, len(entries))
	for i, entry := range entries {
		r, err := allocator.ParseRange(entry)
		switch {
		case err != nil:
			errs = append(errs, field.Invalid(path.Index(i), entry, reason(err, entry)))
		case r.From().Is4() != subnet.Addr().Is4():
			errs = append(errs, field.Invalid(path.Index(i), entry, fmt.Sprintf("of the other family than subnet %s", subnet)))
		case !subnet.Contains(r.From()) || !subnet.Contains(r.To()):
			errs = append(errs, field.Invalid(path.Index(i), entry, fmt.Sprintf("outside of subnet %s", subnet)))
		default:
			ranges = append(ranges, r)
		}
	}
	return ranges, errs
}

// validateEntriesDisjoint: an address that is given twice is a typing error, and the pool may lack
// the one that was meant.
func validateEntriesDisjoint(ranges []netipx.IPRange, entries []string, path *field.Path) field.ErrorList {
	order := make([]int, len(ranges)) // indexes, by first address
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return ranges[a].From().Compare(ranges[b].From()) })
	var errs field.ErrorList
	reach := 0 // index into order of the range that ends last so far
	for k := 1; k < len(order); k++ {
		widest, r := order[reach], order[k]
		if !ranges[widest].To().Less(ranges[r].From()) {
			first, second := min(widest, r), max(widest, r)
			errs = append(errs, field.Invalid(path.Index(second), entries[second], fmt.Sprintf("overlaps %s (%s)", path.Index(first), entries[first])))
		}
		if ranges[widest].To().Less(ranges[r].To()) {
			reach = k
		}
	}
	return errs
}

func parseGateway(gateway *string, subnet netip.Prefix, path *field.Path) (netip.Addr, field.ErrorList) {
	if gateway == nil {
		return netip.Addr{}, nil
	}
	a, err := parseAddress(*gateway)
	switch {
	case err != nil:
		return netip.Addr{}, field.ErrorList{field.Invalid(path, *gateway, reason(err, *gateway))}
	case !subnet.Contains(a):
		return netip.Addr{}, field.ErrorList{field.Invalid(path, *gateway, fmt.Sprintf("outside of subnet %s", subnet))}
	}
	return a, nil
}

// validateRoutes: with two routes to one destination each pod would fail when its network is set
// up, which is too late to tell the user.
func validateRoutes(routes []crdv1.Route, subnet netip.Prefix, gateway netip.Addr, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[netip.Prefix]int{} // destination -> index
	for i, route := range routes {
		path := path.Index(i)
		dst, err := allocator.ParsePrefix(route.Dst)
		earlier, twice := seen[dst]
		switch {
		case err != nil:
			errs = append(errs, field.Invalid(path.Child("dst"), route.Dst, reason(err, route.Dst)))
		case dst.Addr().Is4() != subnet.Addr().Is4():
			errs = append(errs, field.Invalid(path.Child("dst"), route.Dst, fmt.Sprintf("of the other family than subnet %s", subnet)))
		case twice:
			errs = append(errs, field.Invalid(path.Child("dst"), route.Dst, fmt.Sprintf("routes[%d] has the same destination", earlier)))
		case dst.Bits() == 0 && gateway.IsValid():
			errs = append(errs, field.Invalid(path.Child("dst"), route.Dst, fmt.Sprintf("gateway %s makes the default route already", gateway)))
		default:
			seen[dst] = i
		}
		if gw, err := parseAddress(route.Gw); err != nil {
			errs = append(errs, field.Invalid(path.Child("gw"), route.Gw, reason(err, route.Gw)))
		} else if !subnet.Contains(gw) {
			errs = append(errs, field.Invalid(path.Child("gw"), route.Gw, fmt.Sprintf("outside of subnet %s", subnet)))
		}
	}
	return errs
}

func validateSelectors(spec *crdv1.IPPoolSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, s := range [...]struct {
		name     string
		selector *metav1.LabelSelector
	}{{"podAffinity", spec.PodAffinity}, {"namespaceAffinity", spec.NamespaceAffinity}, {"nodeAffinity", spec.NodeAffinity}} {
		errs = append(errs, metav1validation.ValidateLabelSelector(s.selector, metav1validation.LabelSelectorValidationOptions{}, path.Child(s.name))...)
	}
	return errs
}

// validateFamily: addresses of a disabled family would never be used. The value is what the user
// wrote.
func validateFamily(c config.Config, a netip.Addr, value string, path *field.Path) field.ErrorList {
	switch {
	case a.Is4() && !c.EnableIPv4:
		return field.ErrorList{field.Invalid(path, value, "IPv4 is disabled by the configuration (enableIPv4: false)")}
	case a.Is6() && !c.EnableIPv6:
		return field.ErrorList{field.Invalid(path, value, "IPv6 is disabled by the configuration (enableIPv6: false)")}
	}
	return nil
}

// parseAddress reads one address, as strictly as a range.
func parseAddress(s string) (netip.Addr, error) {
	r, err := allocator.ParseRange(s)
	if err == nil && strings.Contains(s, "-") {
		err = fmt.Errorf("%q: not an address", s)
	}
	return r.From(), err
}

// versionOf returns 4 or 6.
func versionOf(a netip.Addr) int64 {
	if a.Is6() {
		return 6
	}
	return 4
}

// reason drops the value from the beginning of an error, since a field error has it already.
func reason(err error, value string) string {
	text := err.Error()
	for _, prefix := range [...]string{fmt.Sprintf("%q: ", value), value + ": "} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			return rest
		}
	}
	return text
}
