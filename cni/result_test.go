package cni

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"testing"

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
		"in the words of an older version": {
			Assignment{Families: []Family{v4, v6}}, false, "0.3.1",
			`{"cniVersion":"0.3.1","dns":{},"ips":[{"version":"4","address":"172.18.41.40/24","gateway":"172.18.41.1"},
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
			result, err := tc.assignment.Result(tc.clean).GetAsVersion(tc.version)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := result.PrintTo(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decoded(t, tc.want), decoded(t, got.String())); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
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
