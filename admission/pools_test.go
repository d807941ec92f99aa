package admission

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// claims are the Users of one pool.
type claims map[netip.Addr][]string // address -> pods

func (c claims) UsersOf(pool string) map[netip.Addr][]string {
	if pool != "a" {
		return nil
	}
	return c
}

func validator(c config.Config, users Users, others ...*crdv1.SpiderIPPool) *PoolValidator {
	s := newStore()
	s.put(others...)
	return NewPoolValidator(PoolOptions{Config: c, Pools: s, Users: users})
}

func ips(ips ...string) func(*crdv1.SpiderIPPool) {
	return func(p *crdv1.SpiderIPPool) { p.Spec.IPs = ips }
}

func excludes(ips ...string) func(*crdv1.SpiderIPPool) {
	return func(p *crdv1.SpiderIPPool) { p.Spec.ExcludeIPs = ips }
}

func gateway(a string) func(*crdv1.SpiderIPPool) {
	return func(p *crdv1.SpiderIPPool) { p.Spec.Gateway = &a }
}

const invalidA = `SpiderIPPool.spiderpool.spidernet.io "a" is invalid: `

func check(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("error %s\nwant  %s", got, want)
	}
}

func TestValidateCreate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pool   *crdv1.SpiderIPPool
		others []*crdv1.SpiderIPPool
		config func(*config.Config)
		want   string
		warn   []string
	}{
		"alone": {pool: pool("a", "10.1.0.0/16", ips("10.1.0.1-10.1.0.9"))},
		"equal subnets, disjoint addresses": {
			pool:   pool("a", "10.1.0.0/16", ips("10.1.0.1-10.1.0.9")),
			others: []*crdv1.SpiderIPPool{pool("b", "10.1.0.0/16", ips("10.1.0.10"))},
		},
		"what the other excludes is free": {
			pool:   pool("a", "10.1.0.0/16", ips("10.1.0.3-10.1.0.5")),
			others: []*crdv1.SpiderIPPool{pool("b", "10.1.0.0/16", ips("10.1.0.1-10.1.0.9"), excludes("10.1.0.3-10.1.0.5"))},
		},
		"what it excludes itself": {
			pool:   pool("a", "10.1.0.0/16", ips("10.1.0.1-10.1.0.9"), excludes("10.1.0.3-10.1.0.5")),
			others: []*crdv1.SpiderIPPool{pool("b", "10.1.0.0/16", ips("10.1.0.3-10.1.0.5"))},
		},
		"addresses of another pool": {
			pool: pool("a", "10.1.0.0/16", ips("10.1.9.9", "10.1.0.1-10.1.0.9")),
			others: []*crdv1.SpiderIPPool{
				pool("c", "10.1.0.0/16", ips("10.1.0.5")), pool("b", "10.1.0.0/16", ips("10.1.0.8-10.1.0.20")), pool("far", "10.2.0.0/16", ips("10.2.0.1")),
			},
			want: invalidA + `[spec.ips[1]: Invalid value: "10.1.0.1-10.1.0.9": overlaps pool "b": 10.1.0.8-10.1.0.9, ` +
				`spec.ips[1]: Invalid value: "10.1.0.1-10.1.0.9": overlaps pool "c": 10.1.0.5]`,
		},
		"a pool of the same name in the cache is its predecessor": {
			pool:   pool("a", "10.1.0.0/16", ips("10.1.0.1")),
			others: []*crdv1.SpiderIPPool{pool("a", "10.1.0.0/16", ips("10.1.0.1"))},
		},
		"another pool that cannot be read is never used": {
			pool:   pool("a", "10.1.0.0/16", ips("10.1.0.1")),
			others: []*crdv1.SpiderIPPool{pool("b", "10.1.0.0/16", ips("10.1.0.1", "x")), pool("c", "what")},
		},
		"inside and around others: warned": {
			pool: pool("a", "10.1.0.0/16", ips("10.1.0.1")),
			others: []*crdv1.SpiderIPPool{
				pool("wide", "10.0.0.0/8", ips("10.9.9.9")), pool("d", "10.1.2.0/24", ips("10.1.2.1")), pool("c", "10.1.1.0/24", ips("10.1.1.1")),
			},
			warn: []string{
				`spec.subnet: 10.1.0.0/16 lies inside the subnet of pool "wide" (10.0.0.0/8)`,
				`spec.subnet: 10.1.0.0/16 contains the subnet of pool "c" (10.1.1.0/24), "d" (10.1.2.0/24)`,
			},
		},
		"a disabled family": {
			pool:   pool("a", "fd00::/64"),
			config: func(c *config.Config) { c.EnableIPv6 = false },
			want:   invalidA + `spec.subnet: Invalid value: "fd00::/64": IPv6 is disabled by the configuration (enableIPv6: false)`,
		},
		"the other disabled family": {
			pool:   pool("a", "10.1.0.0/16"),
			config: func(c *config.Config) { c.EnableIPv4 = false },
			want:   invalidA + `spec.subnet: Invalid value: "10.1.0.0/16": IPv4 is disabled by the configuration (enableIPv4: false)`,
		},
		"its own mistakes come first": {
			pool:   pool("a", "10.1.0.0/16", ips("x", "10.1.0.1")),
			others: []*crdv1.SpiderIPPool{pool("b", "10.1.0.0/16", ips("10.1.0.1"))},
			want:   invalidA + `spec.ips[0]: Invalid value: "x": not an address`,
		},
		"addresses that no pod can have": {
			pool: pool("a", "127.0.0.0/8", ips("127.0.0.1")),
			want: invalidA + `spec.subnet: Invalid value: "127.0.0.0/8": no pod can have an address of 127.0.0.0/8 (loopback)`,
		},
		"a subnet that cannot be read": {
			pool:   pool("a", "10.1.0.0"),
			others: []*crdv1.SpiderIPPool{pool("b", "10.1.0.0/16", ips("10.1.0.1"))},
			want:   invalidA + `spec.subnet: Invalid value: "10.1.0.0": not a CIDR`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config.Default()
			if test.config != nil {
				test.config(&c)
			}
			warnings, err := validator(c, claims{}, test.others...).ValidateCreate(t.Context(), test.pool)
			check(t, err, test.want)
			if diff := cmp.Diff(test.warn, []string(warnings)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMessagesNameTenObjects(t *testing.T) {
	t.Parallel()
	var others []*crdv1.SpiderIPPool
	for i := range 12 {
		others = append(others, pool(fmt.Sprintf("n%02d", i), fmt.Sprintf("10.1.%d.0/24", i), ips(fmt.Sprintf("10.1.%d.1", i))))
	}
	warnings, err := validator(config.Default(), claims{}, others...).ValidateCreate(t.Context(), pool("a", "10.1.0.0/16", ips("10.1.0.1-10.1.255.254")))
	if err == nil || strings.Count(err.Error(), "overlaps pool") != 10 {
		t.Errorf("error %v", err)
	}
	if len(warnings) != 1 || !strings.HasSuffix(warnings[0], `"n09" (10.1.9.0/24) and 2 more`) {
		t.Errorf("warnings %q", warnings)
	}
}

// recorded returns a pool with a record of every kind: .10-.11 settled, .20-.22 reserved, .40 and
// .41 held, and four retained: .30 unassigned, .31 pending admission, .32 in use, .33 held.
func recorded(t *testing.T, changes ...func(*crdv1.SpiderIPPool)) *crdv1.SpiderIPPool {
	t.Helper()
	addr := func(low int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, 0, byte(low)}) }
	since := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	token := func(c string) allocator.Token { return allocator.Token(strings.Repeat(c, 16)) }
	identity := func(pod string) allocator.Identity {
		return allocator.Identity{Namespace: "team-a", Group: "apps", Kind: "StatefulSet", Name: "db", Pod: pod}
	}
	stable := func(t, pod string) allocator.Reservation {
		return allocator.Reservation{Token: token(t), Pod: allocator.PodRef{Namespace: "team-a"}, For: identity(pod), ForUID: "u"}
	}
	record := &allocator.Record{}
	for _, err := range []error{
		record.PutBack(addr(10), 7, allocator.Identity{}, ""), record.PutBack(addr(11), 7, allocator.Identity{}, ""),
		record.Reserve(addr(20), allocator.Reservation{Token: token("a"), Pod: allocator.PodRef{Namespace: "team-a"}}),
		record.Reserve(addr(21), allocator.Reservation{Token: token("b"), Pod: allocator.PodRef{Namespace: "team-a", Name: "late", UID: "u"}}),
		record.Reserve(addr(22), stable("c", "db-4")),
		record.PutBack(addr(30), 7, identity("db-0"), "u"), record.Release(addr(30)),
		record.PutBack(addr(31), 7, identity("db-1"), "u"), record.Release(addr(31)), record.Reserve(addr(31), stable("d", "db-1")),
		record.PutBack(addr(32), 7, identity("db-2"), "u"),
		record.PutBack(addr(33), 7, identity("db-3"), "u"), record.Hold(addr(33), allocator.Hold{Node: "n2", Since: since}),
		record.PutBack(addr(40), 7, allocator.Identity{}, ""), record.Hold(addr(40), allocator.Hold{Node: "n1", Since: since}),
		record.PutBack(addr(41), 7, allocator.Identity{}, ""), record.Hold(addr(41), allocator.Hold{Since: since}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	e := record.Encode()
	p := pool("a", "10.1.0.0/24", ips("10.1.0.0-10.1.0.255"), gateway("10.1.0.1"))
	p.Status.Settled, p.Status.Reserved, p.Status.Retained, p.Status.Held = e.Settled, e.Reserved, e.Retained, e.Held
	p.Status.PodsSeenThrough = e.PodsSeenThrough
	for _, change := range changes {
		change(p)
	}
	return p
}

var podOf10 = claims{netip.MustParseAddr("10.1.0.10"): {"team-a/web-1"}}

func corrupt(p *crdv1.SpiderIPPool) { p.Status.Reserved = []string{"nonsense"} }

func TestValidateUpdate(t *testing.T) {
	t.Parallel()
	const ips_ = `spec.ips: Forbidden: takes out addresses in use: `
	tests := map[string]struct {
		before, now func(*crdv1.SpiderIPPool)
		users       claims
		others      []*crdv1.SpiderIPPool
		want        string
	}{
		"nothing changes": {},
		"a label, on a pool that was never valid": {
			before: ips("x"),
			now:    func(p *crdv1.SpiderIPPool) { p.Spec.IPs = []string{"x"}; p.Labels = map[string]string{"a": "b"} },
		},
		"a finalizer goes from a pool in use that is being deleted": {
			before: func(p *crdv1.SpiderIPPool) {
				p.Finalizers, p.DeletionTimestamp = []string{crdv1.PoolFinalizer}, &metav1.Time{}
			},
			now: func(p *crdv1.SpiderIPPool) { p.DeletionTimestamp = &metav1.Time{} },
		},
		"only the family is filled in, on a pool that was never valid": {
			before: ips("x"),
			now:    func(p *crdv1.SpiderIPPool) { p.Spec.IPs = []string{"x"}; p.Spec.IPVersion = new(int64(4)) },
		},
		"grows": {
			before: ips("10.1.0.0-10.1.0.50"),
			now:    ips("10.1.0.0-10.1.0.99"),
			others: []*crdv1.SpiderIPPool{pool("b", "10.1.0.0/24", ips("10.1.0.100"))},
		},
		"grows into another": {
			before: ips("10.1.0.0-10.1.0.50"),
			now:    ips("10.1.0.0-10.1.0.100"),
			others: []*crdv1.SpiderIPPool{pool("b", "10.1.0.0/24", ips("10.1.0.100"))},
			want:   `spec.ips[0]: Invalid value: "10.1.0.0-10.1.0.100": overlaps pool "b": 10.1.0.100`,
		},
		"excludes less, and so grows into another": {
			before: excludes("10.1.0.100"),
			now:    excludes(),
			others: []*crdv1.SpiderIPPool{pool("b", "10.1.0.0/24", ips("10.1.0.100"))},
			want:   `spec.ips[0]: Invalid value: "10.1.0.0-10.1.0.255": overlaps pool "b": 10.1.0.100`,
		},
		"shrinks, and still overlaps another": {
			now:    ips("10.1.0.0-10.1.0.200"),
			others: []*crdv1.SpiderIPPool{pool("b", "10.1.0.0/24", ips("10.1.0.100-10.1.0.255"))},
		},
		"shrinks around all that is in use": {now: ips("10.1.0.10-10.1.0.41")},
		"shrinks to nothing": {
			now:   ips(),
			users: podOf10,
			want: ips_ + `10.1.0.10 (team-a/web-1), 10.1.0.11 (its pod was not seen to end), 10.1.0.20 (reserved for a pod of namespace team-a), ` +
				`10.1.0.21 (reserved for team-a/late), 10.1.0.22 (reserved for team-a/db-4 of StatefulSet db), ` +
				`10.1.0.30 (retained for team-a/db-0 of StatefulSet db), 10.1.0.31 (retained for team-a/db-1 of StatefulSet db, a pod may come with it), ` +
				`10.1.0.32 (retained for team-a/db-2 of StatefulSet db, its pod was not seen to end), ` +
				`10.1.0.33 (retained for team-a/db-3 of StatefulSet db, held on node n2 since 2026-11-23T10:00:00Z), ` +
				`10.1.0.40 (held on node n1 since 2026-11-23T10:00:00Z) and 1 more`,
		},
		"takes out an address that is held": {
			now:  ips("10.1.0.0-10.1.0.40"),
			want: ips_ + `10.1.0.41 (held on an unknown node since 2026-11-23T10:00:00Z)`,
		},
		"excludes an address that is retained and held": {
			now:  excludes("10.1.0.33"),
			want: `spec.excludeIPs: Forbidden: takes out addresses in use: 10.1.0.33 (retained for team-a/db-3 of StatefulSet db, held on node n2 since 2026-11-23T10:00:00Z)`,
		},
		"makes an address that is retained and unassigned the gateway": {
			now:  gateway("10.1.0.30"),
			want: `spec.gateway: Forbidden: takes out addresses in use: 10.1.0.30 (retained for team-a/db-0 of StatefulSet db)`,
		},
		"excludes addresses in use": {
			now:   excludes("10.1.0.200", "10.1.0.10"),
			users: podOf10,
			want:  `spec.excludeIPs: Forbidden: takes out addresses in use: 10.1.0.10 (team-a/web-1)`,
		},
		"makes an address in use the gateway": {
			now:  gateway("10.1.0.11"),
			want: `spec.gateway: Forbidden: takes out addresses in use: 10.1.0.11 (its pod was not seen to end)`,
		},
		"leads a route over an address in use": {
			now:  func(p *crdv1.SpiderIPPool) { p.Spec.Routes = []crdv1.Route{{Dst: "10.9.0.0/16", Gw: "10.1.0.41"}} },
			want: `spec.routes: Forbidden: takes out addresses in use: 10.1.0.41 (held on an unknown node since 2026-11-23T10:00:00Z)`,
		},
		"all three": {
			now: func(p *crdv1.SpiderIPPool) {
				ips("10.1.0.0-10.1.0.40")(p)
				excludes("10.1.0.20-10.1.0.30")(p)
				gateway("10.1.0.10")(p)
			},
			want: `[` + ips_ + `10.1.0.41 (held on an unknown node since 2026-11-23T10:00:00Z), ` +
				`spec.excludeIPs: Forbidden: takes out addresses in use: 10.1.0.20 (reserved for a pod of namespace team-a), ` +
				`10.1.0.21 (reserved for team-a/late), 10.1.0.22 (reserved for team-a/db-4 of StatefulSet db), ` +
				`10.1.0.30 (retained for team-a/db-0 of StatefulSet db), ` +
				`spec.gateway: Forbidden: takes out addresses in use: 10.1.0.10 (its pod was not seen to end)]`,
		},
		"takes out what a live pod claims although no record says so": {
			now:   excludes("10.1.0.99"),
			users: claims{netip.MustParseAddr("10.1.0.99"): {"team-a/x", "team-b/y"}},
			want:  `spec.excludeIPs: Forbidden: takes out addresses in use: 10.1.0.99 (team-a/x, team-b/y)`,
		},
		"what was excluded before is not taken out now": {
			before: excludes("10.1.0.10"),
			now:    excludes("10.1.0.10", "10.1.0.200"),
		},
		"shrinks with a record that cannot be read": {
			before: corrupt,
			now:    ips("10.1.0.10-10.1.0.41"),
			want:   `spec.ips: Internal error: reading who uses the addresses that are taken out: status.reserved[0]`,
		},
		"grows with a record that cannot be read": {
			before: func(p *crdv1.SpiderIPPool) { corrupt(p); ips("10.1.0.10")(p) },
			now:    ips("10.1.0.10-10.1.0.41"),
		},
		"a spec that could not be read is fixed": {
			before: ips("x"),
			now:    ips("10.1.0.10-10.1.0.41"),
		},
		"a spec that could not be read is fixed without addresses in use": {
			before: ips("x"),
			now:    ips("10.1.0.11-10.1.0.41"),
			want:   ips_ + `10.1.0.10 (its pod was not seen to end)`,
		},
		"a mistake": {
			now:  ips("10.2.0.1"),
			want: `spec.ips[0]: Invalid value: "10.2.0.1": outside of subnet 10.1.0.0/24`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			none := func(*crdv1.SpiderIPPool) {}
			if test.before == nil {
				test.before = none
			}
			if test.now == nil {
				test.now = none
			}
			before := recorded(t, test.before)
			now := recorded(t, test.before, test.now)
			_, err := validator(config.Default(), test.users, test.others...).ValidateUpdate(t.Context(), before, now)
			switch {
			case test.want == "":
				check(t, err, "")
			case err == nil || !strings.HasPrefix(err.Error(), invalidA+test.want):
				t.Errorf("error %v\nwant  %s%s", err, invalidA, test.want)
			}
		})
	}
}

func TestValidateDelete(t *testing.T) {
	t.Parallel()
	many := claims{}
	for i := range 12 {
		many[netip.AddrFrom4([4]byte{10, 1, 0, byte(100 + i)})] = []string{fmt.Sprintf("team-a/web-%d", i)}
	}
	tests := map[string]struct {
		pool  *crdv1.SpiderIPPool
		users claims
		want  string
	}{
		"not in use": {pool: pool("a", "10.1.0.0/24", ips("10.1.0.1"))},
		"one pod": {
			pool: pool("a", "10.1.0.0/24", func(p *crdv1.SpiderIPPool) { p.Status.Settled = []string{"10.1.0.10"} }), users: podOf10,
			want: `deleting pool "a": 1 address is in use: 10.1.0.10 (team-a/web-1)`,
		},
		"more than a message names": {
			pool: recorded(t), users: many,
			want: `deleting pool "a": 22 addresses are in use: 10.1.0.10 (its pod was not seen to end), 10.1.0.11 (its pod was not seen to end), ` +
				`10.1.0.20 (reserved for a pod of namespace team-a), 10.1.0.21 (reserved for team-a/late), ` +
				`10.1.0.22 (reserved for team-a/db-4 of StatefulSet db), 10.1.0.31 (retained for team-a/db-1 of StatefulSet db, a pod may come with it), ` +
				`10.1.0.32 (retained for team-a/db-2 of StatefulSet db, its pod was not seen to end), ` +
				`10.1.0.33 (retained for team-a/db-3 of StatefulSet db, held on node n2 since 2026-11-23T10:00:00Z), ` +
				`10.1.0.40 (held on node n1 since 2026-11-23T10:00:00Z), 10.1.0.41 (held on an unknown node since 2026-11-23T10:00:00Z) and 12 more; ` +
				`1 address is kept for stable identities that have no pod: 10.1.0.30 (retained for team-a/db-0 of StatefulSet db); ` +
				`this ends by itself 1m30s (expiryGrace) after an owner is deleted or scaled down`,
		},
		"nothing but what is kept for identities": {
			pool: recorded(t, func(p *crdv1.SpiderIPPool) {
				p.Status = crdv1.IPPoolStatus{Retained: []string{"team-a/StatefulSet.apps/db u: -0=10.1.0.30 -1=10.1.0.31"}}
			}),
			want: `deleting pool "a": 2 addresses are kept for stable identities that have no pod: 10.1.0.30 (retained for team-a/db-0 of StatefulSet db), ` +
				`10.1.0.31 (retained for team-a/db-1 of StatefulSet db); this ends by itself 1m30s (expiryGrace) after an owner is deleted or scaled down`,
		},
		"what is kept for an identity and a live pod carries all the same": {
			pool: recorded(t, func(p *crdv1.SpiderIPPool) {
				p.Status = crdv1.IPPoolStatus{Retained: []string{"team-a/StatefulSet.apps/db u: -0=10.1.0.10"}}
			}),
			users: podOf10,
			want:  `deleting pool "a": 1 address is in use: 10.1.0.10 (team-a/web-1)`,
		},
		"live pods, with a record that cannot be read": {
			pool: recorded(t, corrupt), users: podOf10,
			want: `deleting pool "a": 1 address is in use: 10.1.0.10 (team-a/web-1)`,
		},
		"no live pods, with a record that cannot be read: the finalizer holds it": {pool: recorded(t, corrupt)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := validator(config.Default(), test.users).ValidateDelete(t.Context(), test.pool)
			check(t, err, test.want)
		})
	}
}

func TestPoolWebhooksEndToEnd(t *testing.T) {
	t.Parallel()
	registered := registrar{}
	Register(registered, testScheme(t), NewPodDefaulter(PodOptions{}), validator(config.Default(), podOf10), NewReservedIPValidator(config.Default()))
	ofCluster := func(r *admissionv1.AdmissionRequest) { r.Namespace = "" }
	old := func(p *crdv1.SpiderIPPool, op admissionv1.Operation) func(*admissionv1.AdmissionRequest) {
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		return func(r *admissionv1.AdmissionRequest) { r.Operation, r.OldObject = op, runtime.RawExtension{Raw: raw} }
	}
	used, shrunk := recorded(t), recorded(t, ips())
	mistyped := map[string]any{"metadata": map[string]any{"name": "a"}, "spec": map[string]any{"subnet": "10.1.0.0/24", "ips": "10.1.0.1"}}
	tests := map[string]struct {
		path     string
		request  admission.Request
		wantCode int32
	}{
		"a good one":                            {PathValidatePools, create(t, pool("a", "10.1.0.0/24"), ofCluster), http.StatusOK},
		"a bad one":                             {PathValidatePools, create(t, pool("a", "10.1.0.1/24"), ofCluster), http.StatusUnprocessableEntity},
		"shrunk below its use":                  {PathValidatePools, create(t, shrunk, old(used, admissionv1.Update)), http.StatusUnprocessableEntity},
		"the same by an update of its status":   {PathValidatePools, create(t, shrunk, old(used, admissionv1.Update), func(r *admissionv1.AdmissionRequest) { r.SubResource = "status" }), http.StatusOK},
		"deleted in use":                        {PathValidatePools, create(t, nil, old(used, admissionv1.Delete)), http.StatusConflict},
		"a bad one, reserved":                   {PathValidateReservedIPs, create(t, reserved("x"), ofCluster), http.StatusUnprocessableEntity},
		"a good one, reserved":                  {PathValidateReservedIPs, create(t, reserved("10.0.0.1"), ofCluster), http.StatusOK},
		"reserved ones are mutated":             {PathMutateReservedIPs, create(t, reserved("10.0.0.1"), ofCluster), http.StatusOK},
		"pools are mutated":                     {PathMutatePools, create(t, pool("a", "10.1.0.0/24"), ofCluster), http.StatusOK},
		"wrong types are left to the schema":    {PathMutatePools, create(t, mistyped, ofCluster), http.StatusOK},
		"wrong types are refused by validation": {PathValidatePools, create(t, mistyped, ofCluster), http.StatusBadRequest},
		"wrong types of reserved ones":          {PathMutateReservedIPs, create(t, mistyped, ofCluster), http.StatusOK},
		"an unreadable pod":                     {PathMutatePods, create(t, "x"), http.StatusBadRequest},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := registered[test.path].(*admission.Webhook).Handle(t.Context(), test.request)
			if response.Result.Code != test.wantCode || response.Allowed != (test.wantCode == http.StatusOK) {
				t.Errorf("answered %+v", response.Result)
			}
		})
	}
}

type registrar map[string]http.Handler // path -> handler

func (r registrar) Register(path string, hook http.Handler) { r[path] = hook }

func TestTheFamilyIsFilledIn(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		subnet  string
		version *int64
		want    string
	}{
		"IPv4":                        {"10.1.0.0/16", nil, `[{"op":"add","path":"/spec/ipVersion","value":4}]`},
		"IPv6":                        {"fd00::/64", nil, `[{"op":"add","path":"/spec/ipVersion","value":6}]`},
		"not where it is set":         {"fd00::/64", new(int64(4)), ``},
		"not with a malformed subnet": {"blue", nil, ``},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pool("a", test.subnet)
			p.Spec.IPVersion = test.version
			response := admission.WithDefaulter(testScheme(t), PoolDefaulter{}).Handle(t.Context(), create(t, p))
			if !response.Allowed || string(response.Patch) != test.want {
				t.Errorf("answered %s", response.Patch)
			}
		})
	}
}
