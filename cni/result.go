package cni

import (
	"net"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// Result is what the main plugin puts on the NIC. With cleanGateway there is
// neither a gateway nor a default route, whatever the annotation says; a default
// route that the annotation lists among its routes was asked for by name and
// stays.
func (a *Assignment) Result(cleanGateway bool) *types100.Result {
	clean := cleanGateway || a.CleanGateway
	result := &types100.Result{CNIVersion: types100.ImplementedSpecVersion}
	for _, family := range a.Families {
		ip := &types100.IPConfig{Address: ipNet(family.Address)}
		if family.Gateway.IsValid() && !clean {
			ip.Gateway = family.Gateway.AsSlice()
			if destination := allOf(family.Address.Addr()); !a.routes(destination) {
				result.Routes = append(result.Routes, cniRoute(Route{destination, family.Gateway}))
			}
		}
		result.IPs = append(result.IPs, ip)
	}
	for _, route := range a.Routes {
		result.Routes = append(result.Routes, cniRoute(route))
	}
	return result
}

// routes tells whether the annotation names destination itself. Main plugins
// would make two routes to one destination an ECMP route.
func (a *Assignment) routes(destination netip.Prefix) bool {
	for _, route := range a.Routes {
		if route.Destination == destination {
			return true
		}
	}
	return false
}

// allOf is the destination of the default route of addr's family.
func allOf(addr netip.Addr) netip.Prefix {
	if addr.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

func cniRoute(r Route) *types.Route {
	return &types.Route{Dst: ipNet(r.Destination), GW: r.Gateway.AsSlice()}
}

func ipNet(p netip.Prefix) net.IPNet {
	return net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
