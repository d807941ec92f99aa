package cni

import (
	"net"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// Result is what the main plugin puts on the NIC. With cleanGateway it has neither a gateway nor
// the pools' default route; a default route among the annotation's routes was requested explicitly
// and stays.
func (a *Assignment) Result(cleanGateway bool) *types100.Result {
	result := &types100.Result{}
	for _, family := range a.Families {
		config := &types100.IPConfig{Address: ipNet(family.Address)}
		result.IPs = append(result.IPs, config)
		if !family.Gateway.IsValid() || cleanGateway || a.CleanGateway {
			continue
		}
		config.Gateway = family.Gateway.AsSlice()
		all := netip.PrefixFrom(family.Address.Addr(), 0).Masked()
		// Main plugins would make two routes to one destination an ECMP route.
		if a.routeTo(all) < 0 {
			result.Routes = append(result.Routes, &types.Route{Dst: ipNet(all), GW: config.Gateway})
		}
	}
	for _, r := range a.Routes {
		result.Routes = append(result.Routes, &types.Route{Dst: ipNet(r.Destination), GW: r.Gateway.AsSlice()})
	}
	return result
}

func ipNet(p netip.Prefix) net.IPNet {
	return net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
