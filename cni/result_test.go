package cni

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"testing"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/types/create"
	"github.com/google/go-cmp/cmp"
)

func TestResult(t *testing.T) {
	t.Parallel()
	v4 := Family{Pool: "p", Address: netip.MustParsePrefix("172.18.41.40/24"), Gateway: netip.MustParseAddr("172.18.41.1")}
	v6 := Family{Pool: "q", Address: netip.MustParsePrefix("fc00::28/64"), Gateway: netip.MustParseAddr("fc00::1")}
	noGateway := Family{Pool: "p", Address: v4.Address}
	extra := Route{Destination: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("172.18.41.2")}
	all := Route{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("172.18.41.2")}
	cases := map[string]struct {
		assignment Assignment
		clean      bool
		version    string
		want       string
	}{
		"two families": {
			Assignment{Vlan: 5, Families: []Family{v4, v6}, Routes: []Route{extra}}, false, "1.1.0",
			`{"cniVersion":"1.1.0","ips":[{"address":"172.18.41.40/24","gateway":"172.18.41.1"},{"address":"fc00::28/64","gateway":"fc00::1"}],
			"routes":[{"dst":"0.0.0.0/0","gw":"172.18.41.1"},{"dst":"::/0","gw":"fc00::1"},{"dst":"10.0.0.0/8","gw":"172.18.41.2"}]}`,
		},
		"in the form of an older version": {
			Assignment{Families: []Family{v4, v6}}, false, "0.3.1",
			`{"cniVersion":"0.3.1","ips":[{"version":"4","address":"172.18.41.40/24","gateway":"172.18.41.1"},
			{"version":"6","address":"fc00::28/64","gateway":"fc00::1"}],
			"routes":[{"dst":"0.0.0.0/0","gw":"172.18.41.1"},{"dst":"::/0","gw":"fc00::1"}],"dns":{}}`,
		},
		"no gateway, so no default route": {
			Assignment{Families: []Family{noGateway}, Routes: []Route{extra}}, false, "1.0.0",
			`{"cniVersion":"1.0.0","ips":[{"address":"172.18.41.40/24"}],"routes":[{"dst":"10.0.0.0/8","gw":"172.18.41.2"}]}`,
		},
		"a clean gateway by the annotation": {
			Assignment{CleanGateway: true, Families: []Family{v4}, Routes: []Route{extra}}, false, "1.0.0",
			`{"cniVersion":"1.0.0","ips":[{"address":"172.18.41.40/24"}],"routes":[{"dst":"10.0.0.0/8","gw":"172.18.41.2"}]}`,
		},
		"a clean gateway by the network": {
			Assignment{Families: []Family{v4}}, true, "1.0.0",
			`{"cniVersion":"1.0.0","ips":[{"address":"172.18.41.40/24"}]}`,
		},
		"an explicit default route beats the gateway's": {
			Assignment{Families: []Family{v4}, Routes: []Route{all}}, false, "1.0.0",
			`{"cniVersion":"1.0.0","ips":[{"address":"172.18.41.40/24","gateway":"172.18.41.1"}],"routes":[{"dst":"0.0.0.0/0","gw":"172.18.41.2"}]}`,
		},
		"an explicit default route stays with a clean gateway": {
			Assignment{CleanGateway: true, Families: []Family{v4}, Routes: []Route{all}}, false, "1.0.0",
			`{"cniVersion":"1.0.0","ips":[{"address":"172.18.41.40/24"}],"routes":[{"dst":"0.0.0.0/0","gw":"172.18.41.2"}]}`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := printed(t, &tc.assignment, tc.version, tc.clean)
			if diff := cmp.Diff(decoded(t, tc.want), decoded(t, got)); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			checkResult(t, &tc.assignment, tc.version)
		})
	}
}

func printed(t *testing.T, assignment *Assignment, version string, clean bool) string {
	t.Helper()
	result, err := assignment.Result(clean).GetAsVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := result.PrintTo(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// checkResult reads the result as a runtime does and checks that it has what was assigned: the
// addresses, which CHECK would find too, and routes with next hops that the pod can reach.
func checkResult(t *testing.T, assignment *Assignment, version string) {
	t.Helper()
	text := printed(t, assignment, version, false)
	read, err := create.CreateFromBytes([]byte(text))
	if err != nil {
		t.Fatalf("version %s: %v", version, err)
	}
	result, err := types100.GetResult(read)
	if err != nil {
		t.Fatalf("version %s: %v", version, err)
	}
	conf := &NetConf{CNIVersion: version, PrevResult: json.RawMessage(text)}
	previous, err := conf.previousAddresses()
	if err != nil {
		t.Fatalf("version %s: CHECK would say %v", version, err)
	}
	var want []string
	for _, family := range assignment.Families {
		want = append(want, family.Address.String())
	}
	if diff := cmp.Diff(want, previous); diff != "" {
		t.Errorf("version %s: addresses (-assigned +read):\n%s", version, diff)
	}
	destinations := map[string]bool{}
	for _, route := range result.Routes {
		if destinations[route.Dst.String()] {
			t.Errorf("version %s: two routes to %s", version, route.Dst.String())
		}
		destinations[route.Dst.String()] = true
		gateway, _ := netip.AddrFromSlice(route.GW)
		if !reachable(assignment, gateway.Unmap()) {
			t.Errorf("version %s: next hop %s cannot be reached", version, route.GW)
		}
	}
	for _, route := range assignment.Routes {
		if !destinations[route.Destination.String()] {
			t.Errorf("version %s: no route to %s", version, route.Destination)
		}
	}
}

func reachable(assignment *Assignment, gateway netip.Addr) bool {
	return slices.ContainsFunc(assignment.Families, func(f Family) bool {
		return f.Address.Contains(gateway) || f.Address.Addr().Is6() && gateway.Is6() && gateway.IsLinkLocalUnicast()
	})
}
