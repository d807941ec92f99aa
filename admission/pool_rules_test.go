package admission

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/admission/config"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func routes(routes ...crdv1.Route) func(*crdv1.SpiderIPPool) {
	return func(p *crdv1.SpiderIPPool) { p.Spec.Routes = routes }
}

func noGateway(p *crdv1.SpiderIPPool) { p.Spec.Gateway = nil }

func all(changes ...func(*crdv1.SpiderIPPool)) func(*crdv1.SpiderIPPool) {
	return func(p *crdv1.SpiderIPPool) {
		for _, change := range changes {
			change(p)
		}
	}
}

// TestEditsAreCheckedAsCreationIs runs each rule both ways: a pool is created with the bad spec,
// and a good one is edited into it. A rule that runs in only one of the two is a hole: it could be
// passed by creating a good pool first.
func TestEditsAreCheckedAsCreationIs(t *testing.T) {
	t.Parallel()
	var (
		unchanged = func(*crdv1.SpiderIPPool) {}
		hop       = crdv1.Route{Dst: "192.168.0.0/16", Gw: "10.1.0.2"}
		b         = pool("b", "10.1.0.0/24", ips("10.1.0.100-10.1.0.109"), gateway("10.1.0.1"))
		// ofB is b with a gateway in its ips.
		ofB = pool("b", "10.1.0.0/24", ips("10.1.0.100-10.1.0.109"), gateway("10.1.0.105"))
	)
	for name, c := range map[string]struct {
		good func(*crdv1.SpiderIPPool) // of the pool 10.1.0.10 to .19 with gateway .1
		bad  func(*crdv1.SpiderIPPool) // of the good one
		want string
		with *crdv1.SpiderIPPool // another pool; b where nil
	}{
		"a range backwards": {
			bad:  ips("10.1.0.19-10.1.0.10"),
			want: `spec.ips[0]: Invalid value: "10.1.0.19-10.1.0.10": start after end`,
		},
		"a gateway outside": {
			bad:  gateway("10.2.0.1"),
			want: `spec.gateway: Invalid value: "10.2.0.1": outside of subnet 10.1.0.0/24`,
		},
		"a gateway that is the broadcast address": {
			bad:  gateway("10.1.0.255"),
			want: `spec.gateway: Invalid value: "10.1.0.255": is the broadcast address of subnet 10.1.0.0/24, which no router can have`,
		},
		"a gateway that is the network address": {
			bad:  gateway("10.1.0.0"),
			want: `spec.gateway: Invalid value: "10.1.0.0": is the network address of subnet 10.1.0.0/24, which no router can have`,
		},
		"a next hop that is the broadcast address": {
			bad:  routes(hop, crdv1.Route{Dst: "172.16.0.0/12", Gw: "10.1.0.255"}),
			want: `spec.routes[1].gw: Invalid value: "10.1.0.255": is the broadcast address of subnet 10.1.0.0/24, which no router can have`,
		},
		"a route to the own subnet": {
			bad: routes(crdv1.Route{Dst: "10.1.0.0/24", Gw: "10.1.0.2"}),
			want: `spec.routes[0].dst: Invalid value: "10.1.0.0/24": is the pool's own subnet 10.1.0.0/24, which pods reach without a router: ` +
				`the route would cut them off from one another`,
		},
		"a default route in addition to a gateway": {
			good: all(noGateway, routes(crdv1.Route{Dst: "0.0.0.0/0", Gw: "10.1.0.2"})),
			bad:  gateway("10.1.0.1"),
			want: `spec.routes[0].dst: Invalid value: "0.0.0.0/0": gateway 10.1.0.1 makes the default route already`,
		},
		"addresses of another pool": {
			bad:  ips("10.1.0.10-10.1.0.19", "10.1.0.109-10.1.0.119"),
			want: `spec.ips[1]: Invalid value: "10.1.0.109-10.1.0.119": overlaps pool "b": 10.1.0.109`,
		},
		"addresses of another pool, no longer excluded": {
			good: all(ips("10.1.0.10-10.1.0.119"), excludes("10.1.0.100-10.1.0.109")),
			bad:  excludes(),
			want: `spec.ips[0]: Invalid value: "10.1.0.10-10.1.0.119": overlaps pool "b": 10.1.0.100-10.1.0.109`,
		},
		"the gateway of another pool among the addresses": {
			bad:  ips("10.1.0.10-10.1.0.19", "10.1.0.1"),
			good: noGateway,
			want: `spec.ips: Invalid value: "10.1.0.1": is the gateway of pool "b": exclude it`,
		},
		"the gateway of another pool, no longer excluded": {
			good: all(noGateway, ips("10.1.0.1-10.1.0.19"), excludes("10.1.0.1")),
			bad:  excludes(),
			want: `spec.ips: Invalid value: "10.1.0.1": is the gateway of pool "b": exclude it`,
		},
		"the gateway of another pool, no longer the own gateway": {
			good: ips("10.1.0.1-10.1.0.19"),
			bad:  noGateway,
			want: `spec.ips: Invalid value: "10.1.0.1": is the gateway of pool "b": exclude it`,
		},
		"the gateway of another pool, no longer the next hop of a route": {
			good: all(noGateway, ips("10.1.0.1-10.1.0.19"), routes(crdv1.Route{Dst: "192.168.0.0/16", Gw: "10.1.0.1"})),
			bad:  routes(),
			want: `spec.ips: Invalid value: "10.1.0.1": is the gateway of pool "b": exclude it`,
		},
		"an address of another pool, no longer the own gateway": { // both were created at the same moment
			good: all(ips("10.1.0.10-10.1.0.19", "10.1.0.104"), gateway("10.1.0.104")),
			bad:  gateway("10.1.0.1"),
			want: `spec.ips[1]: Invalid value: "10.1.0.104": overlaps pool "b": 10.1.0.104`,
		},
		"a gateway that is an address of another pool": {
			bad:  gateway("10.1.0.104"),
			want: `spec.gateway: Invalid value: "10.1.0.104": is an address of pool "b": exclude it there first`,
		},
		"the same of a pool without addresses": {
			good: ips(),
			bad:  gateway("10.1.0.104"),
			want: `spec.gateway: Invalid value: "10.1.0.104": is an address of pool "b": exclude it there first`,
		},
		"a gateway that is another pool's too": {
			bad:  gateway("10.1.0.105"),
			with: ofB,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			with, good, want := c.with, c.good, ""
			if with == nil {
				with = b
			}
			if good == nil {
				good = unchanged
			}
			if c.want != "" {
				want = invalidA + c.want
			}
			v := validator(config.Default(), claims{}, with)
			of := func(changes ...func(*crdv1.SpiderIPPool)) *crdv1.SpiderIPPool {
				return pool("a", "10.1.0.0/24", append([]func(*crdv1.SpiderIPPool){ips("10.1.0.10-10.1.0.19"), gateway("10.1.0.1")}, changes...)...)
			}
			_, err := v.ValidateCreate(t.Context(), of(good, c.bad))
			check(t, err, want)
			_, err = v.ValidateUpdate(t.Context(), of(good), of(good, c.bad))
			check(t, err, want)
		})
	}
}

// What was wrong before does not block an edit that fixes something else.
func TestAnEditIsNotCheckedForWhatWasSoBefore(t *testing.T) {
	t.Parallel()
	b := pool("b", "10.1.0.0/24", ips("10.1.0.10-10.1.0.19"), gateway("10.1.0.30"))
	bad := func(changes ...func(*crdv1.SpiderIPPool)) *crdv1.SpiderIPPool { // its gateway is an address of b, and the gateway of b is one of its addresses
		return pool("a", "10.1.0.0/24", append([]func(*crdv1.SpiderIPPool){ips("10.1.0.15-10.1.0.39"), gateway("10.1.0.12")}, changes...)...)
	}
	v := validator(config.Default(), claims{}, b)
	if _, err := v.ValidateCreate(t.Context(), bad()); err == nil || strings.Count(err.Error(), "pool \"b\"") != 3 {
		t.Errorf("made: %v", err)
	}
	_, err := v.ValidateUpdate(t.Context(), bad(), bad(func(p *crdv1.SpiderIPPool) { p.Spec.Disable = new(true) }))
	check(t, err, "")
	_, err = v.ValidateUpdate(t.Context(), bad(), bad(ips("10.1.0.31-10.1.0.39")))
	check(t, err, "")
}

func TestAddressesThatSurpriseAreWarnedOf(t *testing.T) {
	t.Parallel()
	const (
		broadcast = "spec.ips: 10.1.0.255 is the broadcast address of subnet 10.1.0.0/24 and is never handed out"
		network   = "spec.ips: 10.1.0.0 is the network address of subnet 10.1.0.0/24 and is handed out: some hosts and routers do not talk to it; exclude it if in doubt"
	)
	for name, c := range map[string]struct {
		subnet        string // 10.1.0.0/24 where empty
		before        []string
		ips, excludes []string
		want          []string
	}{
		"addresses like any":                {ips: []string{"10.1.0.1-10.1.0.254"}},
		"all of a subnet":                   {ips: []string{"10.1.0.0-10.1.0.255"}, want: []string{broadcast, network}},
		"all of a subnet, both excluded":    {ips: []string{"10.1.0.0-10.1.0.255"}, excludes: []string{"10.1.0.0", "10.1.0.255"}},
		"nothing but the broadcast address": {ips: []string{"10.1.0.255"}, want: []string{broadcast + ": the pool has no address to hand out"}},
		"IPv6": {
			subnet: "fd00::/64", ips: []string{"fd00::-fd00::ff"},
			want: []string{"spec.ips: fd00:: is the subnet-router anycast address of subnet fd00::/64 and is never handed out"},
		},
		"a link of two":                     {subnet: "10.1.0.0/31", ips: []string{"10.1.0.0-10.1.0.1"}},
		"an edit that adds them":            {before: []string{"10.1.0.9"}, ips: []string{"10.1.0.0-10.1.0.255"}, want: []string{broadcast, network}},
		"an edit of a pool that has them":   {before: []string{"10.1.0.0-10.1.0.255"}, ips: []string{"10.1.0.0-10.1.0.9", "10.1.0.255"}},
		"an edit that takes all others out": {before: []string{"10.1.0.9"}, ips: []string{"10.1.0.255"}, want: []string{broadcast + ": the pool has no address to hand out"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.subnet == "" {
				c.subnet = "10.1.0.0/24"
			}
			v := validator(config.Default(), claims{})
			now := pool("a", c.subnet, ips(c.ips...), excludes(c.excludes...))
			warnings, err := v.ValidateCreate(t.Context(), now)
			if c.before != nil {
				warnings, err = v.ValidateUpdate(t.Context(), pool("a", c.subnet, ips(c.before...)), now)
			}
			check(t, err, "")
			if diff := cmp.Diff(c.want, []string(warnings)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A pod that an earlier version gave the broadcast address keeps it: edits of other fields pass,
// and one that takes the address out is refused as for any other.
func TestABroadcastAddressInUse(t *testing.T) {
	t.Parallel()
	v := validator(config.Default(), claims{netip.MustParseAddr("10.1.0.255"): {"team-a/web-1"}})
	before := func(changes ...func(*crdv1.SpiderIPPool)) *crdv1.SpiderIPPool {
		return pool("a", "10.1.0.0/24", append([]func(*crdv1.SpiderIPPool){ips("10.1.0.250-10.1.0.255"), func(p *crdv1.SpiderIPPool) {
			p.Status.Settled = []string{"10.1.0.255"}
		}}, changes...)...)
	}
	_, err := v.ValidateUpdate(t.Context(), before(), before(ips("10.1.0.251-10.1.0.255")))
	check(t, err, "")
	_, err = v.ValidateUpdate(t.Context(), before(), before(ips("10.1.0.250-10.1.0.254")))
	check(t, err, invalidA+`spec.ips: Forbidden: takes out addresses in use: 10.1.0.255 (team-a/web-1)`)
}
