package cni

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/containernetworking/cni/pkg/types"

	"spidernet.io/spiderpool/cni/lookup"
)

// AnnotationPrefix and the name of a NIC make the key of the annotation that the webhook writes and
// the plugin reads.
const AnnotationPrefix = "ipam.spidernet.io/assigned-"

// Assignment is what one NIC of a pod was given. It is the plugin's own version of the type
// Assigned in crds/v1, which imports Kubernetes; a test under e2e keeps the two in step.
type Assignment struct {
	Interface    string
	Vlan         int      // of the pools; only logged
	CleanGateway bool     // the NIC gets no default route
	Families     []Family // with an address, IPv4 first; one or two
	Routes       []Route  // in addition to the default routes
}

// Family is the address of one IP family.
type Family struct {
	Pool    string
	Address netip.Prefix // the address itself, with the prefix length of the pool's subnet
	Gateway netip.Addr   // invalid where the pool has none
}

// Route is one route of a pod.
type Route struct {
	Destination netip.Prefix
	Gateway     netip.Addr
}

// FindAssignment reads the annotation of the NIC ifName from the annotations of pod.
func FindAssignment(annotations map[string]string, ifName string, pod lookup.Pod) (*Assignment, error) {
	key := AnnotationPrefix + ifName
	value, ok := annotations[key]
	if !ok {
		return nil, fail(types.ErrTryAgainLater,
			"the webhook writes it when the pod is created, and the controller when an address becomes free: look at "+
				"the pod's events and annotations ipam.spidernet.io/*, and whether the controller runs and the webhook is registered",
			"pod %s has no address for NIC %s: annotation %s is missing", pod, ifName, key)
	}
	assignment, err := ParseAssignment(ifName, value)
	if err != nil {
		return nil, fail(types.ErrDecodingFailure,
			"nobody but the webhook and the controller may write this annotation: "+
				"delete the pod so that a new one gets a new address, and report it if it comes back",
			"pod %s: annotation %s: %v", pod, key, err)
	}
	return assignment, nil
}

// ParseAssignment reads the annotation of the NIC ifName.
func ParseAssignment(ifName, value string) (*Assignment, error) {
	a := &Assignment{}
	var v4, v6 struct{ address, pool, gateway string }
	var routes []json.RawMessage
	err := readObject([]byte(value), map[string]any{
		"interface": &a.Interface, "vlan": &a.Vlan, "cleangateway": &a.CleanGateway, "routes": &routes,
		"ipv4": &v4.address, "ipv4pool": &v4.pool, "ipv4gateway": &v4.gateway,
		"ipv6": &v6.address, "ipv6pool": &v6.pool, "ipv6gateway": &v6.gateway,
	}, "interface", "ipv4pool", "ipv6pool", "ipv4", "ipv6", "vlan")
	switch {
	case err != nil:
		return nil, err
	case a.Interface != ifName:
		return nil, fmt.Errorf("interface: this is %q, but NIC %q was asked for", a.Interface, ifName)
	case a.Vlan < 0 || a.Vlan > 4095: // what 802.1Q can tag
		return nil, fmt.Errorf("vlan: %d is not between 0 and 4095", a.Vlan)
	}
	if err := errors.Join(a.addFamily("ipv4", v4.address, v4.pool, v4.gateway), a.addFamily("ipv6", v6.address, v6.pool, v6.gateway)); err != nil {
		return nil, err
	}
	if len(a.Families) == 0 {
		return nil, errors.New("neither ipv4 nor ipv6 has an address")
	}
	for i, route := range routes {
		if err := a.addRoute(route); err != nil {
			return nil, fmt.Errorf("routes[%d]: %w", i, err)
		}
	}
	return a, nil
}

// addFamily reads the family name, ipv4 or ipv6.
func (a *Assignment) addFamily(name, address, pool, gateway string) error {
	if address+pool+gateway == "" {
		return nil
	}
	prefix, err := netip.ParsePrefix(address)
	addr := prefix.Addr()
	switch {
	case address == "":
		return fmt.Errorf("%s: empty, although %spool is %q and %sgateway %q", name, name, pool, name, gateway)
	case pool == "":
		return fmt.Errorf("%spool: empty, although %s is %q", name, name, address)
	case err != nil:
		return fmt.Errorf("%s: %q is not an address with its prefix length", name, address)
	case addr.Is6() != (name == "ipv6") || addr.Is4In6():
		return fmt.Errorf("%s: %s is of the other family", name, address)
	case addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback():
		return fmt.Errorf("%s: %s is no address for a pod", name, address)
	}
	family := Family{Pool: pool, Address: prefix}
	if gateway != "" {
		if family.Gateway, err = parseGateway(gateway, prefix); err != nil {
			return fmt.Errorf("%sgateway: %w", name, err)
		}
	}
	a.Families = append(a.Families, family)
	return nil
}

func (a *Assignment) addRoute(raw json.RawMessage) error {
	var dst, gw string
	if err := readObject(raw, map[string]any{"dst": &dst, "gw": &gw}, "dst", "gw"); err != nil {
		return err
	}
	destination, err := netip.ParsePrefix(dst)
	if err != nil || destination != destination.Masked() || destination.Addr().Is4In6() {
		return fmt.Errorf("dst: %q is not a CIDR", dst)
	}
	if earlier := a.routeTo(destination); earlier >= 0 {
		return fmt.Errorf("dst %s is that of routes[%d]", destination, earlier)
	}
	via := slices.IndexFunc(a.Families, func(f Family) bool { return f.Address.Addr().Is6() == destination.Addr().Is6() })
	if via < 0 {
		return fmt.Errorf("dst: the NIC has no address of the family of %s", destination)
	}
	gateway, err := parseGateway(gw, a.Families[via].Address)
	if err != nil {
		return fmt.Errorf("gw: %w", err)
	}
	a.Routes = append(a.Routes, Route{destination, gateway})
	return nil
}

// routeTo returns the index of the route to destination, or -1.
func (a *Assignment) routeTo(destination netip.Prefix) int {
	return slices.IndexFunc(a.Routes, func(r Route) bool { return r.Destination == destination })
}

// parseGateway reads a next hop that a host with the given address can reach without another route;
// otherwise the kernel would refuse it with "network is unreachable", which does not say what to
// fix.
func parseGateway(text string, own netip.Prefix) (netip.Addr, error) {
	gateway, err := netip.ParseAddr(text)
	onLink := own.Contains(gateway) || gateway.Is6() && gateway.IsLinkLocalUnicast()
	switch {
	case err != nil || gateway.Is4In6() || gateway.Zone() != "":
		return gateway, fmt.Errorf("%q is not an address", text)
	case gateway.Is6() != own.Addr().Is6():
		return gateway, fmt.Errorf("%s is of the other family than %s", gateway, own)
	case !onLink || gateway == own.Addr():
		return gateway, fmt.Errorf("%s cannot be reached from %s", gateway, own)
	}
	return gateway, nil
}
