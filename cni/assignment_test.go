package cni

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/cni/lookup"
)

var addresses = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

var prefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

// dualStack is an annotation with every key.
const dualStack = `{"interface":"eth0","ipv4pool":"p4","ipv6pool":"p6","ipv4":"172.18.41.40/24","ipv6":"fc00::28/64","vlan":7,` +
	`"ipv4gateway":"172.18.41.1","ipv6gateway":"fe80::1","cleangateway":false,` +
	`"routes":[{"dst":"10.0.0.0/8","gw":"172.18.41.2"},{"dst":"fd00::/8","gw":"fc00::2"}]}`

func TestParseAssignment(t *testing.T) {
	t.Parallel()
	got, err := ParseAssignment("eth0", dualStack)
	if err != nil {
		t.Fatal(err)
	}
	want := &Assignment{
		Interface: "eth0", Vlan: 7,
		Families: []Family{
			{Pool: "p4", Address: netip.MustParsePrefix("172.18.41.40/24"), Gateway: netip.MustParseAddr("172.18.41.1")},
			{Pool: "p6", Address: netip.MustParsePrefix("fc00::28/64"), Gateway: netip.MustParseAddr("fe80::1")},
		},
		Routes: []Route{
			{Destination: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("172.18.41.2")},
			{Destination: netip.MustParsePrefix("fd00::/8"), Gateway: netip.MustParseAddr("fc00::2")},
		},
	}
	if diff := cmp.Diff(want, got, addresses, prefixes); diff != "" {
		t.Errorf("assignment (-want +got):\n%s", diff)
	}
}

func TestParseAssignmentWithoutTheOptionalKeys(t *testing.T) {
	t.Parallel()
	got, err := ParseAssignment("net1", `{"interface":"net1","ipv4pool":"p","ipv6pool":"","ipv4":"10.0.0.2/31","ipv6":"","vlan":0}`)
	if err != nil {
		t.Fatal(err)
	}
	want := &Assignment{Interface: "net1", Families: []Family{{Pool: "p", Address: netip.MustParsePrefix("10.0.0.2/31")}}}
	if diff := cmp.Diff(want, got, addresses, prefixes); diff != "" {
		t.Errorf("assignment (-want +got):\n%s", diff)
	}
}

// TestParseAssignmentRefuses changes one place of a good annotation at a time.
func TestParseAssignmentRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ old, new, wantErr string }{
		"not JSON":                         {dualStack, `yes`, `want an object, found "yes"`},
		"trailing text":                    {`]}`, `]} {}`, `text after the object`},
		"an unknown key":                   {`"vlan":7`, `"vlan":7,"mtu":1500`, `unknown key "mtu"`},
		"a key twice":                      {`"vlan":7`, `"vlan":7,"vlan":8`, `key "vlan" is there twice`},
		"a key in capitals":                {`"vlan"`, `"VLAN"`, `unknown key "VLAN"`},
		"an incomplete object":             {dualStack[200:], ``, `key "routes": unexpected EOF`},
		"an escaped key twice":             {`"vlan":7`, `"vlan":7,"\u0076lan":8`, `key "vlan" is there twice`},
		"a vlan with a fraction":           {`"vlan":7`, `"vlan":7.5`, `key "vlan": json: cannot unmarshal number 7.5 into Go value of type int`},
		"a key missing":                    {`"vlan":7,`, ``, `key "vlan" is missing`},
		"another NIC":                      {`"eth0"`, `"eth1"`, `interface: this is "eth1", but NIC "eth0" was asked for`},
		"null":                             {`"172.18.41.40/24"`, `null`, `ipv4: empty, although ipv4pool is "p4" and ipv4gateway "172.18.41.1"`},
		"a vlan that is a string":          {`"vlan":7`, `"vlan":"7"`, `key "vlan": json: cannot unmarshal string into Go value of type int`},
		"a vlan that is too large":         {`"vlan":7`, `"vlan":4096`, `vlan: 4096 is not between 0 and 4095`},
		"a negative vlan":                  {`"vlan":7`, `"vlan":-1`, `vlan: -1 is not between 0 and 4095`},
		"cleangateway that is a string":    {`false`, `"no"`, `key "cleangateway": json: cannot unmarshal string into Go value of type bool`},
		"no prefix length":                 {`41.40/24`, `41.40`, `ipv4: "172.18.41.40" is not an address with its prefix length`},
		"a zone":                           {`::28/64`, `::28%eth0/64`, `ipv6: "fc00::28%eth0/64" is not an address with its prefix length`},
		"the other family":                 {`"172.18.41.40/24"`, `"fc00::9/64"`, `ipv4: fc00::9/64 is of the other family`},
		"a mapped address":                 {`fc00::28/64`, `::ffff:102:304/120`, `ipv6: ::ffff:102:304/120 is of the other family`},
		"a mapped address with dots":       {`fc00::28/64`, `::ffff:1.2.3.4/120`, `ipv6: ::ffff:1.2.3.4/120 is of the other family`},
		"a loopback address":               {`172.18.41.40/24`, `127.0.0.1/8`, `ipv4: 127.0.0.1/8 is no address for a pod`},
		"an address, no pool":              {`"p4"`, `""`, `ipv4pool: empty, although ipv4 is "172.18.41.40/24"`},
		"a pool, no address":               {`"172.18.41.40/24"`, `""`, `ipv4: empty, although ipv4pool is "p4" and ipv4gateway "172.18.41.1"`},
		"a gateway outside the subnet":     {`"172.18.41.1"`, `"172.18.0.1"`, `ipv4gateway: 172.18.0.1 cannot be reached from 172.18.41.40/24`},
		"the pod's own address as gateway": {`"172.18.41.1"`, `"172.18.41.40"`, `ipv4gateway: 172.18.41.40 cannot be reached from 172.18.41.40/24`},
		"a gateway of the other family":    {`"172.18.41.1"`, `"fc00::1"`, `ipv4gateway: fc00::1 is of the other family than 172.18.41.40/24`},
		"a gateway with a zone":            {`"fe80::1"`, `"fe80::1%eth0"`, `ipv6gateway: "fe80::1%eth0" is not an address`},
		"routes that are not a list":       {`"routes":[`, `"routes":{}}`, `key "routes": json: cannot unmarshal object into Go value of type []json.RawMessage`},
		"a route with an unknown key":      {`"gw":"fc00::2"`, `"gw":"fc00::2","mtu":1`, `routes[1]: unknown key "mtu"`},
		"a route without gw":               {`,"gw":"fc00::2"`, ``, `routes[1]: key "gw" is missing`},
		"a destination with host bits":     {`fd00::/8`, `fd00::1/8`, `routes[1]: dst: "fd00::1/8" is not a CIDR`},
		"an empty destination":             {`fd00::/8`, ``, `routes[1]: dst: "" is not a CIDR`},
		"a next hop outside the subnet":    {`"172.18.41.2"`, `"172.18.0.2"`, `routes[0]: gw: 172.18.0.2 cannot be reached from 172.18.41.40/24`},
		"a next hop of the other family":   {`"172.18.41.2"`, `"fc00::2"`, `routes[0]: gw: fc00::2 is of the other family than 172.18.41.40/24`},
		"two routes to one destination":    {`"dst":"fd00::/8","gw":"fc00::2"`, `"dst":"10.0.0.0/8","gw":"172.18.41.3"`, `routes[1]: dst 10.0.0.0/8 is that of routes[0]`},
		"a route without a family":         {`"ipv6pool":"p6","ipv4":"172.18.41.40/24","ipv6":"fc00::28/64","vlan":7,"ipv4gateway":"172.18.41.1","ipv6gateway":"fe80::1"`, `"ipv6pool":"","ipv4":"172.18.41.40/24","ipv6":"","vlan":7`, `routes[1]: dst: the NIC has no address of the family of fd00::/8`},
		"no address at all":                {dualStack, `{"interface":"eth0","ipv4pool":"","ipv6pool":"","ipv4":"","ipv6":"","vlan":0}`, `neither ipv4 nor ipv6 has an address`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(dualStack, tc.old) {
				t.Fatalf("nothing to change: %s", tc.old)
			}
			changed := strings.Replace(dualStack, tc.old, tc.new, 1)
			if strings.HasSuffix(tc.new, "}}") { // ends the object early
				changed = changed[:strings.Index(changed, tc.new)+len(tc.new)]
			}
			_, err := ParseAssignment("eth0", changed)
			if err == nil || err.Error() != tc.wantErr {
				t.Errorf("got %v\nwant %s", err, tc.wantErr)
			}
		})
	}
}

func TestFindAssignmentNamesPodNICAndAnnotation(t *testing.T) {
	t.Parallel()
	pod := lookup.Pod{Namespace: "shop", Name: "web"}
	_, err := FindAssignment(map[string]string{"ipam.spidernet.io/assigned-eth0": dualStack}, "net1", pod)
	wantError(t, err, 11, `pod shop/web has no address for NIC net1: annotation ipam.spidernet.io/assigned-net1 is missing`)
	_, err = FindAssignment(map[string]string{"ipam.spidernet.io/assigned-eth0": `{}`}, "eth0", pod)
	wantError(t, err, 6, `pod shop/web: annotation ipam.spidernet.io/assigned-eth0: key "interface" is missing`)
	_, err = FindAssignment(nil, "eth0", lookup.Pod{})
	wantError(t, err, 11, `pod (not named in CNI_ARGS) has no address for NIC eth0: annotation ipam.spidernet.io/assigned-eth0 is missing`)
}

// FuzzAnnotation proves that an accepted annotation makes a result in every version that the
// library can read back, with the addresses in it and every next hop within reach; and that one
// more key, or a key in another case, is refused.
func FuzzAnnotation(f *testing.F) {
	f.Add(dualStack)
	f.Add(`{"interface":"eth0","ipv4pool":"p","ipv6pool":"","ipv4":"10.0.0.2/31","ipv6":"","vlan":0}`)
	f.Add(`{"interface":"eth0","ipv4pool":"","ipv6pool":"p","ipv4":"","ipv6":"fc00::2/128","vlan":0,"ipv6gateway":"fe80::1"}`)
	f.Fuzz(func(t *testing.T, value string) {
		assignment, err := ParseAssignment("eth0", value)
		if err != nil {
			return
		}
		if assignment.Interface != "eth0" || len(assignment.Families) == 0 || len(assignment.Families) > 2 {
			t.Fatalf("took %+v", assignment)
		}
		for _, version := range versions.SupportedVersions() {
			checkResult(t, assignment, version)
		}
		var members map[string]any
		if err := json.Unmarshal([]byte(value), &members); err != nil {
			t.Fatalf("taken, but json says %v", err)
		}
		for key := range members {
			members[strings.ToUpper(key)] = nil // all keys are lower case
			if _, err := ParseAssignment("eth0", string(encoded(t, members))); err == nil {
				t.Errorf("accepted key %q in addition to %q", strings.ToUpper(key), key)
			}
			delete(members, strings.ToUpper(key))
		}
		again, err := ParseAssignment("eth0", string(encoded(t, members)))
		if diff := cmp.Diff(assignment, again, addresses, prefixes); diff != "" || err != nil {
			t.Errorf("written again (-first +second): %v\n%s", err, diff)
		}
	})
}
