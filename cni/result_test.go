package cni

import (
	"bytes"
	"encoding/json"
	"net"
	"net/netip"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/types/create"
	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/cni/address"
)

func TestResult(t *testing.T) {
	t.Parallel()
	v4 := Family{Pool: "p", Address: mustPrefix("172.18.41.40/24"), Gateway: mustAddr("172.18.41.1")}
	v6 := Family{Pool: "q", Address: mustPrefix("fc00::28/64"), Gateway: mustAddr("fc00::1")}
	noGateway := Family{Pool: "p", Address: v4.Address}
	extra := Route{Destination: mustPrefix("10.0.0.0/8"), Gateway: mustAddr("172.18.41.2")}
	all := Route{Destination: mustPrefix("0.0.0.0/0"), Gateway: mustAddr("172.18.41.2")}
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
		"in the words of an older version": {
			Assignment{Families: []Family{v4, v6}}, false, "0.3.1",
			`{"cniVersion":"0.3.1","ips":[{"version":"4","address":"172.18.41.40/24","gateway":"172.18.41.1"},
			{"version":"6","address":"fc00::28/64","gateway":"fc00::1"}],
			"routes":[{"dst":"0.0.0.0/0","gw":"172.18.41.1"},{"dst":"::/0","gw":"fc00::1"}]}`,
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
		"a default route asked for by name beats the gateway's": {
			Assignment{Families: []Family{v4}, Routes: []Route{all}}, false, "1.0.0",
			`{"cniVersion":"1.0.0","ips":[{"address":"172.18.41.40/24","gateway":"172.18.41.1"}],"routes":[{"dst":"0.0.0.0/0","gw":"172.18.41.2"}]}`,
		},
		"a default route asked for by name outlives a clean gateway": {
			Assignment{CleanGateway: true, Families: []Family{v4}, Routes: []Route{all}}, false, "1.0.0",
			`{"cniVersion":"1.0.0","ips":[{"address":"172.18.41.40/24"}],"routes":[{"dst":"0.0.0.0/0","gw":"172.18.41.2"}]}`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := tc.assignment.Result(tc.version, tc.clean)
			if diff := cmp.Diff(decoded(t, tc.want), decoded(t, string(got))); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			checkResult(t, &tc.assignment, tc.version)
		})
	}
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return value
}

// checkResult reads the result as a runtime does, and compares it with the one
// that the library makes.
func checkResult(t *testing.T, assignment *Assignment, version string) {
	t.Helper()
	got, err := create.CreateFromBytes(assignment.Result(version, false))
	if err != nil {
		t.Fatalf("version %s: %v", version, err)
	}
	want, err := libraryResult(assignment).GetAsVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	// Both printed by the library: its types differ in how they keep an address.
	if diff := cmp.Diff(printed(t, want), printed(t, got)); diff != "" {
		t.Errorf("version %s (-library +plugin):\n%s", version, diff)
	}
	carried, err := previousAddresses(assignment.Result(version, false))
	if err != nil {
		t.Fatal(err)
	}
	if err := compare(assignment, carried); err != nil {
		t.Errorf("version %s: CHECK would say %v", version, err)
	}
}

// libraryResult is the result without a clean gateway, by the library's types.
func libraryResult(a *Assignment) *types100.Result {
	result := &types100.Result{CNIVersion: types100.ImplementedSpecVersion}
	named := map[string]bool{} // destinations of the annotation's own routes
	for _, r := range a.Routes {
		named[netip.MustParsePrefix(r.Destination.String()).String()] = true // "0::/0" is "::/0"
	}
	for _, family := range a.Families {
		config := &types100.IPConfig{Address: ipNet(family.Address)}
		if family.Gateway.IsValid() && !a.CleanGateway {
			config.Gateway = ip(family.Gateway)
			if all := allOf(family.Gateway); !named[all.String()] {
				result.Routes = append(result.Routes, &types.Route{Dst: ipNet(all), GW: config.Gateway})
			}
		}
		result.IPs = append(result.IPs, config)
	}
	for _, r := range a.Routes {
		result.Routes = append(result.Routes, &types.Route{Dst: ipNet(r.Destination), GW: ip(r.Gateway)})
	}
	return result
}

func printed(t *testing.T, result types.Result) any {
	t.Helper()
	var text bytes.Buffer
	if err := result.PrintTo(&text); err != nil {
		t.Fatal(err)
	}
	return decoded(t, text.String())
}

func ipNet(p address.Prefix) net.IPNet {
	parsed := netip.MustParsePrefix(p.String())
	return net.IPNet{IP: parsed.Addr().AsSlice(), Mask: net.CIDRMask(parsed.Bits(), parsed.Addr().BitLen())}
}

func ip(a address.Addr) net.IP { return netip.MustParseAddr(a.String()).AsSlice() }
