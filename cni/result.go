package cni

import (
	"strings"

	"spidernet.io/spiderpool/cni/address"
)

// Result is what the main plugin puts on the NIC, in the words of a version of
// CNI. With cleanGateway there is neither a gateway nor a default route,
// whatever the annotation says; a default route that the annotation lists among
// its routes was asked for by name and stays.
//
// It is written by hand since all in it is versions, addresses and prefixes,
// which need no quoting, and the library's way there (convert, encode, decode,
// encode, indent, all by reflection) is the largest part of an ADD. A test
// holds it to the library.
func (a *Assignment) Result(cniVersion string, cleanGateway bool) []byte {
	clean := cleanGateway || a.CleanGateway
	var ips []string
	var routes []Route
	for _, family := range a.Families {
		gateway := family.Gateway
		if clean {
			gateway = address.Addr{}
		}
		ips = append(ips, ipText(cniVersion, family.Address, gateway))
		destination := allOf(family.Address.Addr())
		// Main plugins would make two routes to one destination an ECMP route.
		if gateway.IsValid() && a.routeTo(destination) < 0 {
			routes = append(routes, Route{destination, gateway})
		}
	}
	text := `{"cniVersion":"` + cniVersion + `","ips":[` + strings.Join(ips, ",") + `]`
	if routes = append(routes, a.Routes...); len(routes) > 0 {
		text += `,"routes":[` + routesText(routes) + `]`
	}
	return []byte(text + "}\n")
}

func ipText(cniVersion string, own address.Prefix, gateway address.Addr) string {
	text := `{`
	if strings.HasPrefix(cniVersion, "0.") { // those versions name the family
		text += `"version":"` + familyName(own.Addr()) + `",`
	}
	text += `"address":"` + own.String() + `"`
	if gateway.IsValid() {
		text += `,"gateway":"` + gateway.String() + `"`
	}
	return text + `}`
}

func familyName(addr address.Addr) string {
	if addr.Is6() {
		return "6"
	}
	return "4"
}

func routesText(routes []Route) string {
	texts := make([]string, len(routes))
	for i, r := range routes {
		texts[i] = `{"dst":"` + r.Destination.String() + `","gw":"` + r.Gateway.String() + `"}`
	}
	return strings.Join(texts, ",")
}

// allOf is the destination of the default route of addr's family.
func allOf(addr address.Addr) address.Prefix {
	text := "0.0.0.0/0"
	if addr.Is6() {
		text = "::/0"
	}
	all, _ := address.ParsePrefix(text)
	return all
}
