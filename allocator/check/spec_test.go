package check

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestAPoolHandsOutWhatItsSpecLeaves(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spec crdv1.IPPoolSpec
		want []string
		err  string
	}{
		"all that is named": {
			spec: crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", IPs: []string{"10.0.0.9", "10.0.0.1-10.0.0.3", "10.0.0.4"}},
			want: []string{"10.0.0.1-10.0.0.4", "10.0.0.9"},
		},
		"less what is excluded": {
			spec: crdv1.IPPoolSpec{Subnet: "10.0.0.0/8", IPs: []string{"10.0.0.0-10.63.255.255"}, ExcludeIPs: []string{"10.0.0.0-10.0.0.9", "10.1.0.0"}},
			want: []string{"10.0.0.10-10.0.255.255", "10.1.0.1-10.63.255.255"},
		},
		"less routers": {
			spec: crdv1.IPPoolSpec{
				Subnet: "fc00::/64", IPs: []string{"fc00::-fc00::ffff:ffff:ffff:ffff"}, Gateway: new("fc00::"),
				Routes: []crdv1.Route{{Dst: "fd00::/8", Gw: "fc00::ffff:ffff:ffff:ffff"}},
			},
			want: []string{"fc00::1-fc00::ffff:ffff:ffff:fffe"},
		},
		"less IPv4 addresses as IPv6": {
			spec: crdv1.IPPoolSpec{Subnet: "::/64", IPs: []string{"::1-::1:0:0:0"}},
			want: []string{"::1-::fffe:ffff:ffff", "::1:0:0:0"},
		},
		"nothing":             {spec: crdv1.IPPoolSpec{Subnet: "10.0.0.0/24"}},
		"no subnet":           {err: `spec.subnet: "": not a CIDR with all host bits zero`},
		"host bits":           {spec: crdv1.IPPoolSpec{Subnet: "10.0.0.1/24"}, err: `spec.subnet: "10.0.0.1/24": not a CIDR with all host bits zero`},
		"an address outside":  {spec: crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", IPs: []string{"10.0.0.9", "10.0.1.0"}}, err: "spec.ips[1]: 10.0.1.0: outside of subnet 10.0.0.0/24"},
		"an end outside":      {spec: crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", ExcludeIPs: []string{"10.0.0.9-10.0.1.0"}}, err: "spec.excludeIPs[0]: 10.0.0.9-10.0.1.0: outside of subnet 10.0.0.0/24"},
		"another family":      {spec: crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", IPs: []string{"10.0.0.9-fc00::1"}}, err: "spec.ips[0]: 10.0.0.9-fc00::1: outside of subnet 10.0.0.0/24"},
		"not an address":      {spec: crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", IPs: []string{"10.0.0.9-"}}, err: `spec.ips[0]: "": not an address`},
		"a range backwards":   {spec: crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", IPs: []string{"10.0.0.9-10.0.0.3"}}, err: "spec.ips[0]: 10.0.0.9-10.0.0.3: start after end"},
		"a gateway outside":   {spec: crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", Gateway: new("10.0.1.1")}, err: "spec.gateway: 10.0.1.1: outside of subnet 10.0.0.0/24"},
		"a range as gateway":  {spec: crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", Gateway: new("10.0.0.1-10.0.0.2")}, err: `spec.gateway: "10.0.0.1-10.0.0.2": not an address`},
		"a next hop outside":  {spec: crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", Routes: []crdv1.Route{{Gw: "10.0.1.1"}}}, err: "spec.routes[0].gw: 10.0.1.1: outside of subnet 10.0.0.0/24"},
		"a malformed address": {spec: crdv1.IPPoolSpec{Subnet: "fc00::/64", IPs: []string{"fc00::0"}}, err: `spec.ips[0]: "fc00::0": write it as fc00::`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, err := readSpec(&tc.spec)
			if diff := cmp.Diff(tc.err, text(err)); diff != "" {
				t.Fatalf("error (-want +got):\n%s", diff)
			}
			var got []string
			if set != nil {
				for _, r := range set.Ranges() {
					got = append(got, spelled(r))
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
