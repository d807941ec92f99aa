package check

import (
	"testing"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestWhatAPoolMayHandOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec crdv1.IPPoolSpec
		want int64
	}{
		"no router, and not the broadcast address": {
			crdv1.IPPoolSpec{
				Subnet: "10.0.0.0/24", IPs: []string{"10.0.0.0-10.0.0.255"}, ExcludeIPs: []string{"10.0.0.9"},
				Gateway: new("10.0.0.1"), Routes: []crdv1.Route{{Dst: "10.9.0.0/16", Gw: "10.0.0.2"}},
			}, 252,
		},
		"both of a link":                   {crdv1.IPPoolSpec{Subnet: "10.0.0.0/31", IPs: []string{"10.0.0.0-10.0.0.1"}}, 2},
		"IPv6 without the anycast address": {crdv1.IPPoolSpec{Subnet: "fc00::/120", IPs: []string{"fc00::-fc00::ff"}}, 255},
		"both of an IPv6 link":             {crdv1.IPPoolSpec{Subnet: "fc00::/127", IPs: []string{"fc00::-fc00::1"}}, 2},
	} {
		set, err := readSpec(&c.spec)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := size(set); got != c.want {
			t.Errorf("%s: got %d addresses, want %d", name, got, c.want)
		}
	}
}
