package ledger

import (
	"errors"
	"net/netip"
	"testing"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestSpaceOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec      crdv1.IPPoolSpec
		want      uint64
		wantError string
	}{
		"all of a subnet but its broadcast address, the gateway and a next hop": {
			spec: crdv1.IPPoolSpec{
				Subnet: "10.0.0.0/24", IPs: []string{"10.0.0.0-10.0.0.255"}, ExcludeIPs: []string{"10.0.0.9"},
				Gateway: new("10.0.0.1"), Routes: []crdv1.Route{{Dst: "10.9.0.0/16", Gw: "10.0.0.2"}},
			},
			want: 252,
		},
		"nothing but the broadcast address": {spec: crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", IPs: []string{"10.0.0.255"}}},
		"both of a link":                    {spec: crdv1.IPPoolSpec{Subnet: "10.0.0.0/31", IPs: []string{"10.0.0.0-10.0.0.1"}}, want: 2},
		"IPv6 without the anycast address":  {spec: crdv1.IPPoolSpec{Subnet: "fc00::/120", IPs: []string{"fc00::-fc00::ff"}}, want: 255},
		"no subnet":                         {wantError: `spec.subnet: "": not a CIDR`},
		"a next hop that is none": {
			spec:      crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", Routes: []crdv1.Route{{Dst: "10.9.0.0/16", Gw: "x"}}},
			wantError: `spec.routes[0].gw: ParseAddr("x"): unable to parse IP`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			space, err := SpaceOf(&c.spec)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if space.Size() != c.want || got != c.wantError {
				t.Errorf("got %d addresses and %q, want %d and %q", space.Size(), got, c.want, c.wantError)
			}
		})
	}
}

// A release of before gave broadcast addresses out: the record that has one is read, its pod keeps
// the address, and once it is free nobody gets it again.
func TestABroadcastAddressInUseStaysUntilItsPodEnds(t *testing.T) {
	t.Parallel()
	var m memory
	m.add("p", "10.1.0.0/24", "10.1.0.254-10.1.0.255")
	m.edit("p", func(p *crdv1.SpiderIPPool) { p.Status.Settled = []string{"10.1.0.254-255"} })
	l := New(Options{API: &m, Pools: &m})
	last := netip.MustParseAddr("10.1.0.255")

	state := m.state(t, "p")
	if !state.Record.InUse(last) || state.Space.Contains(last) || state.Space.Size() != 1 {
		t.Fatalf("the record has it: %t; the space: %v", state.Record.InUse(last), state.Space.Ranges())
	}
	release := Change{Do: func(tx *Tx) error {
		return errors.Join(tx.Record.Release(last), tx.Record.Release(netip.MustParseAddr("10.1.0.254")))
	}}
	if err := l.Apply(t.Context(), "p", release); err != nil {
		t.Fatal(err)
	}
	claims, err := l.Reserve(t.Context(), toCome("default", ""), slots([]string{"p"}))
	if err != nil || claims[0].Address.String() != "10.1.0.254" {
		t.Fatalf("got %v, %v", claims, err)
	}
	another := toCome("default", "")
	another.Token = allocator.NewToken()
	if claims, err := l.Reserve(t.Context(), another, slots([]string{"p"})); err == nil {
		t.Errorf("the broadcast address was given: %v", claims)
	}
	if total := m.state(t, "p").Pool.Status.TotalIPCount; total == nil || *total != 1 {
		t.Errorf("totalIPCount is %v, want 1", total)
	}
}
