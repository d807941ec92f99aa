package admission

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// validSpec has every field that the rules look at.
func validSpec() crdv1.IPPoolSpec {
	return crdv1.IPPoolSpec{
		IPVersion:         new(int64(4)),
		Subnet:            "172.18.41.0/24",
		IPs:               []string{"172.18.41.40-172.18.41.50", "172.18.41.60", "172.18.41.1-172.18.41.3"},
		ExcludeIPs:        []string{"172.18.41.42", "172.18.41.41-172.18.41.43"},
		Gateway:           new("172.18.41.1"),
		Vlan:              new(int64(7)),
		Routes:            []crdv1.Route{{Dst: "10.0.0.0/8", Gw: "172.18.41.2"}, {Dst: "10.0.0.0/9", Gw: "172.18.41.2"}},
		PodAffinity:       &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
		NamespaceAffinity: &metav1.LabelSelector{},
	}
}

func rangesOf(s allocator.Space) []string {
	var out []string
	for _, r := range s.Ranges() {
		out = append(out, textOf(r))
	}
	return out
}

func TestASpecIsItsIPsLessExcludedOnesAndRouters(t *testing.T) {
	t.Parallel()
	spec := validSpec()
	space, errs := ValidatePoolSpec(&spec)
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	want := []string{"172.18.41.3", "172.18.41.40", "172.18.41.44-172.18.41.50", "172.18.41.60"}
	if diff := cmp.Diff(want, rangesOf(space)); diff != "" {
		t.Error(diff)
	}
}

func TestValidatePoolSpec(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mutate func(*crdv1.IPPoolSpec)
		want   []string
	}{
		"the base": {func(*crdv1.IPPoolSpec) {}, nil},
		"no addresses, nothing optional": {func(s *crdv1.IPPoolSpec) {
			*s = crdv1.IPPoolSpec{Subnet: "fd00::/64"}
		}, nil},
		"IPv6": {func(s *crdv1.IPPoolSpec) {
			*s = crdv1.IPPoolSpec{Subnet: "fd00::/64", IPs: []string{"fd00::10-fd00::ffff"}, Gateway: new("fd00::1"), Routes: []crdv1.Route{{Dst: "::/1", Gw: "fd00::2"}}}
		}, nil},
		"a default route without a gateway": {func(s *crdv1.IPPoolSpec) {
			s.Gateway, s.Routes = nil, []crdv1.Route{{Dst: "0.0.0.0/0", Gw: "172.18.41.2"}}
		}, nil},
		"a subnet with host bits": {
			func(s *crdv1.IPPoolSpec) { s.Subnet = "172.18.41.1/24" },
			[]string{`spec.subnet: Invalid value: "172.18.41.1/24": not canonical, write 172.18.41.0/24`},
		},
		"a malformed subnet": {
			func(s *crdv1.IPPoolSpec) { s.Subnet = "blue" },
			[]string{`spec.subnet: Invalid value: "blue": not a CIDR`},
		},
		"no subnet": {
			func(s *crdv1.IPPoolSpec) { s.Subnet = "" },
			[]string{`spec.subnet: Invalid value: "": not a CIDR`},
		},
		"another ipVersion": {
			func(s *crdv1.IPPoolSpec) { s.IPVersion = new(int64(6)) },
			[]string{`spec.ipVersion: Invalid value: 6: subnet 172.18.41.0/24 is IPv4`},
		},
		"a range backwards": {
			func(s *crdv1.IPPoolSpec) { s.IPs[1] = "172.18.41.9-172.18.41.3" },
			[]string{`spec.ips[1]: Invalid value: "172.18.41.9-172.18.41.3": start after end`},
		},
		"a malformed address": {
			func(s *crdv1.IPPoolSpec) { s.IPs[1] = "172.18.41" },
			[]string{`spec.ips[1]: Invalid value: "172.18.41": not an address`},
		},
		"a range half of which is outside": {
			func(s *crdv1.IPPoolSpec) { s.IPs[1] = "172.18.41.250-172.18.42.1" },
			[]string{`spec.ips[1]: Invalid value: "172.18.41.250-172.18.42.1": outside of subnet 172.18.41.0/24`},
		},
		"a range around the subnet": {
			func(s *crdv1.IPPoolSpec) { s.ExcludeIPs[0] = "172.18.40.0-172.18.42.1" },
			[]string{`spec.excludeIPs[0]: Invalid value: "172.18.40.0-172.18.42.1": outside of subnet 172.18.41.0/24`},
		},
		"an address of the other family": {
			func(s *crdv1.IPPoolSpec) { s.ExcludeIPs[1] = "fd00::1" },
			[]string{`spec.excludeIPs[1]: Invalid value: "fd00::1": of the other family than subnet 172.18.41.0/24`},
		},
		"entries that overlap": {
			func(s *crdv1.IPPoolSpec) { s.IPs = append(s.IPs, "172.18.41.3-172.18.41.40") },
			[]string{
				`spec.ips[3]: Invalid value: "172.18.41.3-172.18.41.40": overlaps spec.ips[2] (172.18.41.1-172.18.41.3)`,
				`spec.ips[3]: Invalid value: "172.18.41.3-172.18.41.40": overlaps spec.ips[0] (172.18.41.40-172.18.41.50)`,
			},
		},
		"an entry inside one that is not its neighbour": {
			func(s *crdv1.IPPoolSpec) {
				s.IPs = []string{"172.18.41.90", "172.18.41.20", "172.18.41.10-172.18.41.99"}
			},
			[]string{
				`spec.ips[2]: Invalid value: "172.18.41.10-172.18.41.99": overlaps spec.ips[1] (172.18.41.20)`,
				`spec.ips[2]: Invalid value: "172.18.41.10-172.18.41.99": overlaps spec.ips[0] (172.18.41.90)`,
			},
		},
		"an entry given twice": {
			func(s *crdv1.IPPoolSpec) { s.IPs = []string{"172.18.41.20", "172.18.41.20"} },
			[]string{`spec.ips[1]: Invalid value: "172.18.41.20": overlaps spec.ips[0] (172.18.41.20)`},
		},
		"a gateway outside": {
			func(s *crdv1.IPPoolSpec) { s.Gateway = new("172.18.42.1") },
			[]string{`spec.gateway: Invalid value: "172.18.42.1": outside of subnet 172.18.41.0/24`},
		},
		"a gateway that is a range": {
			func(s *crdv1.IPPoolSpec) { s.Gateway = new("172.18.41.1-172.18.41.1") },
			[]string{`spec.gateway: Invalid value: "172.18.41.1-172.18.41.1": not an address`},
		},
		"an empty gateway": {
			func(s *crdv1.IPPoolSpec) { s.Gateway = new("") },
			[]string{`spec.gateway: Invalid value: "": not an address`},
		},
		"a destination with host bits": {
			func(s *crdv1.IPPoolSpec) { s.Routes[1].Dst = "10.0.0.1/8" },
			[]string{`spec.routes[1].dst: Invalid value: "10.0.0.1/8": not canonical, write 10.0.0.0/8`},
		},
		"a destination of the other family": {
			func(s *crdv1.IPPoolSpec) { s.Routes[1].Dst = "fd00::/8" },
			[]string{`spec.routes[1].dst: Invalid value: "fd00::/8": of the other family than subnet 172.18.41.0/24`},
		},
		"a destination given twice": {
			func(s *crdv1.IPPoolSpec) { s.Routes[1].Dst = "10.0.0.0/8" },
			[]string{`spec.routes[1].dst: Invalid value: "10.0.0.0/8": routes[0] has the same destination`},
		},
		"the default route in addition to a gateway": {
			func(s *crdv1.IPPoolSpec) { s.Routes[1].Dst = "0.0.0.0/0" },
			[]string{`spec.routes[1].dst: Invalid value: "0.0.0.0/0": gateway 172.18.41.1 makes the default route already`},
		},
		"a next hop outside": {
			func(s *crdv1.IPPoolSpec) { s.Routes[0].Gw = "10.0.0.1" },
			[]string{`spec.routes[0].gw: Invalid value: "10.0.0.1": outside of subnet 172.18.41.0/24`},
		},
		"a malformed next hop": {
			func(s *crdv1.IPPoolSpec) { s.Routes[0].Gw = "eth0" },
			[]string{`spec.routes[0].gw: Invalid value: "eth0": not an address`},
		},
		"a gateway that is the broadcast address": {
			func(s *crdv1.IPPoolSpec) { s.Gateway = new("172.18.41.255") },
			[]string{`spec.gateway: Invalid value: "172.18.41.255": is the broadcast address of subnet 172.18.41.0/24, which no router can have`},
		},
		"a gateway that is the network address": {
			func(s *crdv1.IPPoolSpec) { s.Gateway = new("172.18.41.0") },
			[]string{`spec.gateway: Invalid value: "172.18.41.0": is the network address of subnet 172.18.41.0/24, which no router can have`},
		},
		"a next hop that is the broadcast address": {
			func(s *crdv1.IPPoolSpec) { s.Routes[1].Gw = "172.18.41.255" },
			[]string{`spec.routes[1].gw: Invalid value: "172.18.41.255": is the broadcast address of subnet 172.18.41.0/24, which no router can have`},
		},
		"a gateway at the end of a link of two": {func(s *crdv1.IPPoolSpec) {
			*s = crdv1.IPPoolSpec{Subnet: "10.0.0.0/31", IPs: []string{"10.0.0.0"}, Gateway: new("10.0.0.1")}
		}, nil},
		"a gateway that is the anycast address of routers": {func(s *crdv1.IPPoolSpec) {
			*s = crdv1.IPPoolSpec{Subnet: "fd00::/64", IPs: []string{"fd00::10-fd00::ffff"}, Gateway: new("fd00::")}
		}, nil},
		"a route to the subnet": {
			func(s *crdv1.IPPoolSpec) { s.Routes[0].Dst = "172.18.41.0/24" },
			[]string{`spec.routes[0].dst: Invalid value: "172.18.41.0/24": is the pool's own subnet 172.18.41.0/24, which pods reach without a router: the route would cut them off from one another`},
		},
		"a route to half of the subnet": {
			func(s *crdv1.IPPoolSpec) { s.Routes[1].Dst = "172.18.41.128/25" },
			[]string{`spec.routes[1].dst: Invalid value: "172.18.41.128/25": lies inside the pool's own subnet 172.18.41.0/24, which pods reach without a router: the route would cut them off from one another`},
		},
		"a route to one address of the subnet": {
			func(s *crdv1.IPPoolSpec) { s.Routes[1].Dst = "172.18.41.9/32" },
			[]string{`spec.routes[1].dst: Invalid value: "172.18.41.9/32": lies inside the pool's own subnet 172.18.41.0/24, which pods reach without a router: the route would cut them off from one another`},
		},
		"a route to more than the subnet":    {func(s *crdv1.IPPoolSpec) { s.Routes[0].Dst = "172.18.40.0/23" }, nil},
		"a route to the neighbouring subnet": {func(s *crdv1.IPPoolSpec) { s.Routes[0].Dst = "172.18.40.0/24" }, nil},
		"a selector that cannot be read": {
			func(s *crdv1.IPPoolSpec) {
				s.NodeAffinity = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "In"}}}
			},
			[]string{"spec.nodeAffinity.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"},
		},
		"a loopback subnet":        specialPool("127.3.0.0/16", `spec.subnet: Invalid value: "127.3.0.0/16": no pod can have an address of 127.0.0.0/8 (loopback)`, "127.3.0.1"),
		"a multicast subnet":       specialPool("239.0.0.0/24", `spec.subnet: Invalid value: "239.0.0.0/24": no pod can have an address of 224.0.0.0/4 (multicast)`),
		"the IPv6 loopback":        specialPool("::1/128", `spec.subnet: Invalid value: "::1/128": no pod can have an address of ::1/128 (loopback)`),
		"an IPv6 multicast subnet": specialPool("ff02::/64", `spec.subnet: Invalid value: "ff02::/64": no pod can have an address of ff00::/8 (multicast)`),
		"the unspecified address":  specialPool("0.0.0.0/32", `spec.subnet: Invalid value: "0.0.0.0/32": no pod can have an address of 0.0.0.0/32 (the unspecified address)`),
		"a range that ends in class D": specialPool("192.0.0.0/2", `spec.ips[1]: Invalid value: "223.0.0.1-224.0.0.1": no pod can have an address of 224.0.0.0/4 (multicast): exclude it`,
			"192.168.0.1", "223.0.0.1-224.0.0.1"),
		"the broadcast address among others": specialPool("240.0.0.0/4", `spec.ips[0]: Invalid value: "255.255.255.0-255.255.255.255": no pod can have an address of 255.255.255.255/32 (broadcast): exclude it`,
			"255.255.255.0-255.255.255.255"),
		"the first addresses of IPv6": {
			func(s *crdv1.IPPoolSpec) { *s = crdv1.IPPoolSpec{Subnet: "::/64", IPs: []string{"::-::ff"}} },
			[]string{
				`spec.ips[0]: Invalid value: "::-::ff": no pod can have an address of ::/128 (the unspecified address): exclude it`,
				`spec.ips[0]: Invalid value: "::-::ff": no pod can have an address of ::1/128 (loopback): exclude it`,
			},
		},
		"special addresses that are excluded": {func(s *crdv1.IPPoolSpec) {
			*s = crdv1.IPPoolSpec{Subnet: "::/64", IPs: []string{"::-::ff"}, ExcludeIPs: []string{"::-::1"}}
		}, nil},
		"a wide subnet with plain addresses": {func(s *crdv1.IPPoolSpec) {
			*s = crdv1.IPPoolSpec{Subnet: "0.0.0.0/0", IPs: []string{"10.0.0.1-126.255.255.255"}}
		}, nil},
		"everything at once": {
			func(s *crdv1.IPPoolSpec) { s.IPs[0], s.Gateway, s.Routes[0].Gw = "x", new("y"), "z" },
			[]string{
				`spec.ips[0]: Invalid value: "x": not an address`,
				`spec.gateway: Invalid value: "y": not an address`,
				`spec.routes[0].gw: Invalid value: "z": not an address`,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := validSpec()
			test.mutate(&spec)
			_, errs := ValidatePoolSpec(&spec)
			if diff := cmp.Diff(test.want, texts(errs)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// specialPool is a test case of a pool of that subnet, which is refused with one error.
func specialPool(subnet, want string, ips ...string) struct {
	mutate func(*crdv1.IPPoolSpec)
	want   []string
} {
	return struct {
		mutate func(*crdv1.IPPoolSpec)
		want   []string
	}{func(s *crdv1.IPPoolSpec) { *s = crdv1.IPPoolSpec{Subnet: subnet, IPs: ips} }, []string{want}}
}

func texts(errs field.ErrorList) []string {
	var out []string
	for _, err := range errs {
		out = append(out, err.Error())
	}
	return out
}

// TestHugeRangesCostNothing counts allocations, not time: a /10 and a /64 must cost the same as a
// /24.
func TestHugeRangesCostNothing(t *testing.T) {
	cost := func(subnet, ips, gateway string) float64 {
		spec := crdv1.IPPoolSpec{Subnet: subnet, IPs: []string{ips}, Gateway: &gateway}
		return testing.AllocsPerRun(20, func() {
			if _, errs := ValidatePoolSpec(&spec); len(errs) > 0 {
				t.Fatal(errs.ToAggregate())
			}
		})
	}
	small := cost("10.0.0.0/24", "10.0.0.0-10.0.0.255", "10.0.0.1")
	for _, huge := range []float64{
		cost("10.0.0.0/10", "10.0.0.0-10.63.255.255", "10.0.0.1"),
		cost("fd00::/64", "fd00::-fd00::ffff:ffff:ffff:ffff", "fd00::1"),
	} {
		if huge > small*1.5 {
			t.Errorf("%v allocations, a /24 has %v", huge, small)
		}
	}
}

// FuzzValidatePoolSpec: what is accepted lies inside the subnet, without the gateway and what is
// excluded.
func FuzzValidatePoolSpec(f *testing.F) {
	f.Add("172.18.41.0/24", "172.18.41.40-172.18.41.50,172.18.41.60", "172.18.41.42", "172.18.41.41", "10.0.0.0/8", "172.18.41.1")
	f.Add("fd00::/64", "fd00::-fd00::ffff:ffff:ffff:ffff", "fd00::1", "fd00::2", "::/0", "fd00::3")
	f.Add("0.0.0.0/0", "126.0.0.0-223.255.255.255", "127.0.0.0-127.255.255.255", "130.0.0.1", "10.0.0.0/8", "126.0.0.9")
	f.Add("10.0.0.0/30", "10.0.0.0-10.0.0.3", "", "10.0.0.1", "10.0.0.0/8", "10.0.0.2")
	f.Add("::/0", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", "::", "::/1", "::1")
	f.Fuzz(func(t *testing.T, subnet, ips, excludes, gateway, dst, gw string) {
		spec := crdv1.IPPoolSpec{Subnet: subnet, IPs: strings.Split(ips, ","), Gateway: &gateway, Routes: []crdv1.Route{{Dst: dst, Gw: gw}}}
		if excludes != "" {
			spec.ExcludeIPs = strings.Split(excludes, ",")
		}
		space, errs := ValidatePoolSpec(&spec)
		if len(errs) > 0 {
			for _, err := range errs {
				if err.Type == field.ErrorTypeInternal || err.Error() == "" {
					t.Errorf("%v", err)
				}
			}
			return
		}
		prefix := netip.MustParsePrefix(subnet)
		if space.Contains(netip.MustParseAddr(gateway)) {
			t.Error("the gateway is handed out")
		}
		for _, r := range space.Ranges() {
			if !prefix.Contains(r.From()) || !prefix.Contains(r.To()) {
				t.Errorf("%v lies outside of %v", r, prefix)
			}
			for _, a := range []netip.Addr{r.From(), r.To()} {
				if a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() {
					t.Errorf("%s is handed out", a)
				}
			}
		}
		if a, what := allocator.Unassignable(prefix); what != "" && space.Contains(a) {
			t.Errorf("%s is handed out, %s", a, what)
		}
		if d := netip.MustParsePrefix(dst); d.Overlaps(prefix) && d.Bits() >= prefix.Bits() {
			t.Errorf("%s is routed inside of %s", d, prefix)
		}
		for _, entry := range spec.ExcludeIPs {
			first, _, _ := strings.Cut(entry, "-")
			if space.Contains(netip.MustParseAddr(first)) {
				t.Errorf("%s is excluded and handed out", first)
			}
		}
		if again, errs := ValidatePoolSpec(&spec); len(errs) > 0 || !again.Equal(space) {
			t.Errorf("read %v, then %v", rangesOf(space), rangesOf(again))
		}
	})
}
