package cni

import (
	"slices"

	"spidernet.io/spiderpool/cni/address"
	"spidernet.io/spiderpool/cni/message"
	"spidernet.io/spiderpool/cni/strictjson"
)

// AnnotationPrefix and the name of a NIC make the key of the annotation that
// the webhook writes and the plugin reads.
const AnnotationPrefix = "ipam.spidernet.io/assigned-"

// maxVlan is the greatest VLAN that 802.1Q can tag.
const maxVlan = 4095

// Assignment is what one NIC of a pod was given. It is the plugin's own reading
// of the type Assigned in crds/v1, which imports Kubernetes; a test under e2e
// holds the two together.
type Assignment struct {
	Interface string
	// Vlan of the pools; told in the log only.
	Vlan int
	// CleanGateway means that the NIC gets no default route.
	CleanGateway bool
	// Families with an address, IPv4 first; one or two.
	Families []Family
	// Routes besides the default routes.
	Routes []Route
}

// Family is the address of one IP family.
type Family struct {
	Pool    string
	Address address.Prefix // host bits and the length of the pool's subnet
	Gateway address.Addr   // invalid where the pool has none
}

// Route is one route of a pod.
type Route struct {
	Destination address.Prefix
	Gateway     address.Addr
}

// FindAssignment reads the annotation of the NIC ifName from the annotations of
// pod.
func FindAssignment(annotations map[string]string, ifName string, pod PodRef) (*Assignment, error) {
	key := AnnotationPrefix + ifName
	value, ok := annotations[key]
	if !ok {
		return nil, fail(CodeTryAgainLater,
			"the webhook writes it when the pod is created, and the controller when an address becomes free: "+
				"look at the pod's events, at its annotations ipam.spidernet.io/*, "+
				"and whether the controller runs and the webhook is registered",
			"pod %s has no address for NIC %s: annotation %s is missing", pod, ifName, key)
	}
	assignment, err := ParseAssignment(ifName, value)
	if err != nil {
		return nil, fail(CodeDecodingFailure,
			"nobody but the webhook and the controller may write this annotation: "+
				"delete the pod so that a new one gets a new address, and report it if it comes back",
			"pod %s: annotation %s: %v", pod, key, err)
	}
	return assignment, nil
}

// ParseAssignment reads the annotation of the NIC ifName.
func ParseAssignment(ifName, value string) (*Assignment, error) {
	object, err := strictjson.Parse([]byte(value), "interface", "ipv4pool", "ipv6pool", "ipv4", "ipv6", "vlan",
		"ipv4gateway", "ipv6gateway", "cleangateway", "routes")
	if err != nil {
		return nil, err
	}
	if err := object.Require("interface", "ipv4pool", "ipv6pool", "ipv4", "ipv6", "vlan"); err != nil {
		return nil, err
	}
	a := &Assignment{}
	if err := a.readScalars(object, ifName); err != nil {
		return nil, err
	}
	for _, name := range []string{"ipv4", "ipv6"} {
		if err := a.readFamily(object, name); err != nil {
			return nil, err
		}
	}
	if len(a.Families) == 0 {
		return nil, message.Errorf("neither ipv4 nor ipv6 has an address")
	}
	return a, a.readRoutes(object)
}

func (a *Assignment) readScalars(object strictjson.Object, ifName string) (err error) {
	if a.Interface, err = strictjson.Value[string](object, "interface"); err != nil {
		return err
	}
	if a.Interface != ifName {
		return message.Errorf("interface: this is %q, but NIC %q was asked for", a.Interface, ifName)
	}
	if a.Vlan, err = strictjson.Value[int](object, "vlan"); err != nil {
		return err
	}
	if a.Vlan < 0 || a.Vlan > maxVlan {
		return message.Errorf("vlan: %d is not between 0 and %d", a.Vlan, maxVlan)
	}
	a.CleanGateway, err = strictjson.Value[bool](object, "cleangateway")
	return err
}

// readFamily reads address, pool and gateway of the family name, ipv4 or ipv6.
func (a *Assignment) readFamily(object strictjson.Object, name string) error {
	var texts [3]string
	for i, key := range []string{name, name + "pool", name + "gateway"} {
		var err error
		if texts[i], err = strictjson.Value[string](object, key); err != nil {
			return err
		}
	}
	own, pool, gateway := texts[0], texts[1], texts[2]
	if own == "" {
		if pool != "" || gateway != "" {
			return message.Errorf("%s: empty, although %spool is %q and %sgateway %q", name, name, pool, name, gateway)
		}
		return nil
	}
	if pool == "" {
		return message.Errorf("%spool: empty, although %s is %q", name, name, own)
	}
	family := Family{Pool: pool}
	var err error
	if family.Address, err = parseAddress(own, name == "ipv6"); err != nil {
		return message.Errorf("%s: %w", name, err)
	}
	if gateway != "" {
		if family.Gateway, err = parseGateway(gateway, family.Address); err != nil {
			return message.Errorf("%sgateway: %w", name, err)
		}
	}
	a.Families = append(a.Families, family)
	return nil
}

func (a *Assignment) readRoutes(object strictjson.Object) error {
	list, err := strictjson.Value[[]strictjson.Raw](object, "routes")
	if err != nil {
		return err
	}
	for i, raw := range list {
		route, err := a.parseRoute(raw)
		if err != nil {
			return message.Errorf("routes[%d]: %w", i, err)
		}
		if earlier := a.routeTo(route.Destination); earlier >= 0 {
			return message.Errorf("routes[%d]: dst %s is that of routes[%d]", i, route.Destination, earlier)
		}
		a.Routes = append(a.Routes, route)
	}
	return nil
}

// routeTo is the place of the route to destination, or -1.
func (a *Assignment) routeTo(destination address.Prefix) int {
	return slices.IndexFunc(a.Routes, func(r Route) bool { return r.Destination.Same(destination) })
}

func (a *Assignment) parseRoute(raw strictjson.Raw) (Route, error) {
	object, err := strictjson.Parse(raw, "dst", "gw")
	if err != nil {
		return Route{}, err
	}
	if err := object.Require("dst", "gw"); err != nil {
		return Route{}, err
	}
	dst, err := strictjson.Value[string](object, "dst")
	if err != nil {
		return Route{}, err
	}
	gw, err := strictjson.Value[string](object, "gw")
	if err != nil {
		return Route{}, err
	}
	destination, ok := address.ParsePrefix(dst)
	if !ok || !destination.IsMasked() || destination.Addr().Is4In6() {
		return Route{}, message.Errorf("dst: %q is not a CIDR", dst)
	}
	for _, family := range a.Families {
		if family.Address.Addr().Is6() == destination.Addr().Is6() {
			gateway, err := parseGateway(gw, family.Address)
			if err != nil {
				return Route{}, message.Errorf("gw: %w", err)
			}
			return Route{Destination: destination, Gateway: gateway}, nil
		}
	}
	return Route{}, message.Errorf("dst: the NIC has no address of the family of %s", destination)
}

func parseAddress(text string, is6 bool) (address.Prefix, error) {
	prefix, ok := address.ParsePrefix(text)
	if !ok {
		return address.Prefix{}, message.Errorf("%q is not an address with its prefix length", text)
	}
	addr := prefix.Addr()
	if addr.Is6() != is6 || addr.Is4In6() {
		return address.Prefix{}, message.Errorf("%s is of the other family", text)
	}
	if addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() {
		return address.Prefix{}, message.Errorf("%s is no address for a pod", text)
	}
	return prefix, nil
}

// parseGateway reads a next hop that a host with the given address can reach
// without another route; otherwise the kernel would refuse it with "network is
// unreachable", which tells nobody what to mend.
func parseGateway(text string, own address.Prefix) (address.Addr, error) {
	gateway, ok := address.Parse(text)
	if !ok || gateway.Is4In6() {
		return address.Addr{}, message.Errorf("%q is not an address", text)
	}
	if gateway.Is6() != own.Addr().Is6() {
		return address.Addr{}, message.Errorf("%s is of the other family than %s", gateway, own)
	}
	onLink := own.Contains(gateway) || gateway.Is6() && gateway.IsLinkLocal()
	if !onLink || gateway.Same(own.Addr()) {
		return address.Addr{}, message.Errorf("%s cannot be reached from %s", gateway, own)
	}
	return gateway, nil
}
