package check

import (
	"fmt"
	"net/netip"
	"strings"

	"go4.org/netipx"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// readSpec returns the addresses that a pool may hand out: ips less excludeIPs, the gateway, the
// next hops of routes, and what is never handed out.
func readSpec(spec *crdv1.IPPoolSpec) (*netipx.IPSet, error) {
	subnet, err := readSubnet(spec.Subnet)
	if err != nil {
		return nil, fmt.Errorf("spec.subnet: %w", err)
	}
	var all netipx.IPSetBuilder
	for i, text := range spec.IPs {
		r, err := readRange(text, subnet)
		if err != nil {
			return nil, fmt.Errorf("spec.ips[%d]: %w", i, err)
		}
		all.AddRange(r)
	}
	for i, text := range spec.ExcludeIPs {
		r, err := readRange(text, subnet)
		if err != nil {
			return nil, fmt.Errorf("spec.excludeIPs[%d]: %w", i, err)
		}
		all.RemoveRange(r)
	}
	if spec.Gateway != nil {
		a, err := readRouter(*spec.Gateway, subnet)
		if err != nil {
			return nil, fmt.Errorf("spec.gateway: %w", err)
		}
		all.Remove(a)
	}
	for i, route := range spec.Routes {
		a, err := readRouter(route.Gw, subnet)
		if err != nil {
			return nil, fmt.Errorf("spec.routes[%d].gw: %w", i, err)
		}
		all.Remove(a)
	}
	for _, r := range neverHandedOut(subnet) {
		all.RemoveRange(r)
	}
	return setOf(&all), nil
}

// ipv4InIPv6 are the IPv4-mapped addresses, which an IPv6 range may include.
var ipv4InIPv6 = netipx.RangeOfPrefix(netip.MustParsePrefix("::ffff:0:0/96"))

// neverHandedOut is what no pool of a subnet hands out: the last address of an IPv4 subnet
// (broadcast) and the first of an IPv6 one (RFC 4291 section 2.6.1, for routers), if the subnet has
// more than two.
func neverHandedOut(subnet netip.Prefix) []netipx.IPRange {
	switch all := netipx.RangeOfPrefix(subnet); {
	case subnet.Addr().Is4() && subnet.Bits() <= 30:
		return []netipx.IPRange{ipv4InIPv6, netipx.IPRangeFrom(all.To(), all.To())}
	case subnet.Addr().Is6() && subnet.Bits() <= 126:
		return []netipx.IPRange{ipv4InIPv6, netipx.IPRangeFrom(all.From(), all.From())}
	}
	return []netipx.IPRange{ipv4InIPv6}
}

func readSubnet(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() || p.Masked().String() != text {
		return netip.Prefix{}, fmt.Errorf("%q: not a CIDR with all host bits zero", text)
	}
	return p, nil
}

// anywhere means any subnet.
var anywhere netip.Prefix

// readRange reads a or a-b, both included, inside of a subnet.
func readRange(text string, subnet netip.Prefix) (netipx.IPRange, error) {
	from, to, isRange := strings.Cut(text, "-")
	first, err := readAddress(from)
	if err != nil {
		return netipx.IPRange{}, err
	}
	last := first
	if isRange {
		if last, err = readAddress(to); err != nil {
			return netipx.IPRange{}, err
		}
	}
	switch {
	case subnet != anywhere && (!subnet.Contains(first) || !subnet.Contains(last)):
		return netipx.IPRange{}, fmt.Errorf("%s: outside of subnet %s", text, subnet)
	case last.Less(first):
		return netipx.IPRange{}, fmt.Errorf("%s: start after end", text)
	}
	return netipx.IPRangeFrom(first, last), nil
}

func readRouter(text string, subnet netip.Prefix) (netip.Addr, error) {
	a, err := readAddress(text)
	if err == nil && !subnet.Contains(a) {
		err = fmt.Errorf("%s: outside of subnet %s", a, subnet)
	}
	return a, err
}
