package controlplane

import (
	"context"
	_ "embed" // the manifest
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed pool-rules.yaml
var poolRulesManifest []byte

// PoolRules proves: each rule of a pool refuses with its exact message, whether the
// schema, CEL or the webhook says it; nested subnets are warned of.
var PoolRules = behaviours.Behaviour{ID: "pool-rules", Manifest: poolRulesManifest, Test: poolRules}

// poolRule is a rule, the change of a good pool that breaks it, and what is said.
type poolRule struct {
	change func(*crdv1.IPPoolSpec)
	want   string
}

const (
	bySchema  = `SpiderIPPool.spiderpool.spidernet.io "pool-rules-bad" is invalid: `
	byWebhook = `admission webhook "spiderippools.spiderpool.spidernet.io" denied the request: ` + bySchema

	bySchemaOfBase  = `SpiderIPPool.spiderpool.spidernet.io "pool-rules-base" is invalid: `
	byWebhookOfBase = `admission webhook "spiderippools.spiderpool.spidernet.io" denied the request: ` + bySchemaOfBase
)

func poolRules(t *testing.T, e *behaviours.Env) {
	for name, rule := range createRules {
		t.Run("create/"+name, func(t *testing.T) {
			pool := goodPool("pool-rules-bad")
			rule.change(&pool.Spec)
			expect(t, e.Client.Create(t.Context(), pool), rule.want)
		})
	}
	for name, rule := range updateRules {
		t.Run("update/"+name, func(t *testing.T) {
			pool := e.Pool(t, "pool-rules-base")
			rule.change(&pool.Spec)
			expect(t, e.Client.Update(t.Context(), pool), rule.want)
		})
	}
	t.Run("a good pool is not refused", func(t *testing.T) {
		if err := e.Client.Create(t.Context(), goodPool("pool-rules-good"), client.DryRunAll); err != nil {
			t.Error(err)
		}
	})
	t.Run("ipVersion is filled in", func(t *testing.T) {
		pool := goodPool("pool-rules-good")
		pool.Spec.IPVersion = nil
		if err := e.Client.Create(t.Context(), pool, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(new(int64(4)), pool.Spec.IPVersion); diff != "" {
			t.Errorf("ipVersion (-want +got):\n%s", diff)
		}
	})
	t.Run("nested subnets are warned of", func(t *testing.T) { nestedIsWarnedOf(t, e) })
}

func expect(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("was not refused, want\n  %s", want)
	}
	if got := err.Error(); got != want {
		t.Errorf("refused with\n  %s\nwant\n  %s", got, want)
	}
}

// goodPool has addresses that no other pool has.
func goodPool(name string) *crdv1.SpiderIPPool {
	return &crdv1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: crdv1.IPPoolSpec{
			IPVersion:  new(int64(4)),
			Subnet:     "10.8.0.0/24",
			IPs:        []string{"10.8.0.100-10.8.0.109", "10.8.0.120"},
			ExcludeIPs: []string{"10.8.0.105"},
			Gateway:    new("10.8.0.1"),
			Vlan:       new(int64(7)),
			Routes:     []crdv1.Route{{Dst: "192.168.0.0/16", Gw: "10.8.0.2"}},
		},
	}
}

var createRules = map[string]poolRule{
	"ipVersion of the other family": {
		func(s *crdv1.IPPoolSpec) { s.IPVersion = new(int64(6)) },
		bySchema + `spec.ipVersion: Invalid value: ipVersion differs from the family of subnet; set it to that family or leave it out`,
	},
	"ipVersion 5": {
		func(s *crdv1.IPPoolSpec) { s.IPVersion = new(int64(5)) },
		bySchema + `[spec.ipVersion: Unsupported value: 5: supported values: "4", "6", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`,
	},
	"subnet with host bits": {
		func(s *crdv1.IPPoolSpec) { s.Subnet = "10.8.0.7/24" },
		bySchema + `spec.subnet: Invalid value: "10.8.0.7/24": must be a CIDR in canonical form, with all host bits zero, such as 172.18.41.0/24 or fc00:1::/64`,
	},
	"subnet without length": {
		func(s *crdv1.IPPoolSpec) { s.Subnet = "10.8.0.0" },
		bySchema + `spec.subnet: Invalid value: "10.8.0.0": must be a CIDR in canonical form, with all host bits zero, such as 172.18.41.0/24 or fc00:1::/64`,
	},
	"subnet missing": {
		func(s *crdv1.IPPoolSpec) { s.Subnet = "" },
		bySchema + `spec.subnet: Invalid value: "": must be a CIDR in canonical form, with all host bits zero, such as 172.18.41.0/24 or fc00:1::/64`,
	},
	"gateway outside": {
		func(s *crdv1.IPPoolSpec) { s.Gateway = new("10.8.7.1") },
		bySchema + `spec.gateway: Invalid value: gateway lies outside of subnet`,
	},
	"gateway no address": {
		func(s *crdv1.IPPoolSpec) { s.Gateway = new("gw") },
		bySchema + `spec.gateway: Invalid value: "gw": must be an IP address`,
	},
	"vlan too high": {
		func(s *crdv1.IPPoolSpec) { s.Vlan = new(int64(4096)) },
		bySchema + `spec.vlan: Invalid value: 4096: spec.vlan in body should be less than or equal to 4095`,
	},
	"vlan negative": {
		func(s *crdv1.IPPoolSpec) { s.Vlan = new(int64(-1)) },
		bySchema + `spec.vlan: Invalid value: -1: spec.vlan in body should be greater than or equal to 0`,
	},
	"ips with a name": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"host"} },
		bySchema + `spec.ips[0]: Invalid value: "host": spec.ips[0] in body should match '^[0-9a-fA-F.:]+(-[0-9a-fA-F.:]+)?$'`,
	},
	"ips backwards": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"10.8.0.109-10.8.0.100"} },
		byWebhook + `spec.ips[0]: Invalid value: "10.8.0.109-10.8.0.100": start after end`,
	},
	"ips outside": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"10.8.0.100", "10.8.0.250-10.8.1.5"} },
		byWebhook + `spec.ips[1]: Invalid value: "10.8.0.250-10.8.1.5": outside of subnet 10.8.0.0/24`,
	},
	"ips of the other family": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"fc00:8::1"} },
		byWebhook + `spec.ips[0]: Invalid value: "fc00:8::1": of the other family than subnet 10.8.0.0/24`,
	},
	"ips mapped into IPv6": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"::ffff:10.8.0.100"} },
		byWebhook + `spec.ips[0]: Invalid value: "::ffff:10.8.0.100": an address with a zone, or IPv4-mapped`,
	},
	"ips that overlap one another": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"10.8.0.100-10.8.0.109", "10.8.0.90-10.8.0.100"} },
		byWebhook + `spec.ips[1]: Invalid value: "10.8.0.90-10.8.0.100": overlaps spec.ips[0] (10.8.0.100-10.8.0.109)`,
	},
	"excludeIPs outside": {
		func(s *crdv1.IPPoolSpec) { s.ExcludeIPs = []string{"10.8.1.1"} },
		byWebhook + `spec.excludeIPs[0]: Invalid value: "10.8.1.1": outside of subnet 10.8.0.0/24`,
	},
	"excludeIPs backwards": {
		func(s *crdv1.IPPoolSpec) { s.ExcludeIPs = []string{"10.8.0.9-10.8.0.1"} },
		byWebhook + `spec.excludeIPs[0]: Invalid value: "10.8.0.9-10.8.0.1": start after end`,
	},
	"addresses of another pool": {
		func(s *crdv1.IPPoolSpec) { s.Subnet, s.IPs = "10.8.0.0/23", []string{"10.8.1.15-10.8.1.25"} },
		byWebhook + `spec.ips[0]: Invalid value: "10.8.1.15-10.8.1.25": overlaps pool "pool-rules-other": 10.8.1.15-10.8.1.19`,
	},
	"one address of another pool": {
		func(s *crdv1.IPPoolSpec) { s.IPs = append(s.IPs, "10.8.0.30") },
		byWebhook + `spec.ips[2]: Invalid value: "10.8.0.30": overlaps pool "pool-rules-base": 10.8.0.30`,
	},
	"route dst no CIDR": {
		func(s *crdv1.IPPoolSpec) { s.Routes[0].Dst = "192.168.0.1" },
		bySchema + `spec.routes[0].dst: Invalid value: "192.168.0.1": must be a CIDR`,
	},
	"route dst with host bits": {
		func(s *crdv1.IPPoolSpec) { s.Routes[0].Dst = "192.168.0.1/16" },
		byWebhook + `spec.routes[0].dst: Invalid value: "192.168.0.1/16": not canonical, write 192.168.0.0/16`,
	},
	"route dst of the other family": {
		func(s *crdv1.IPPoolSpec) { s.Routes[0].Dst = "fc00:9::/64" },
		byWebhook + `spec.routes[0].dst: Invalid value: "fc00:9::/64": of the other family than subnet 10.8.0.0/24`,
	},
	"route gw no address": {
		func(s *crdv1.IPPoolSpec) { s.Routes[0].Gw = "gw" },
		bySchema + `spec.routes[0].gw: Invalid value: "gw": must be an IP address`,
	},
	"route gw outside": {
		func(s *crdv1.IPPoolSpec) { s.Routes[0].Gw = "10.9.0.1" },
		byWebhook + `spec.routes[0].gw: Invalid value: "10.9.0.1": outside of subnet 10.8.0.0/24`,
	},
	"route dst twice": {
		func(s *crdv1.IPPoolSpec) { s.Routes = append(s.Routes, s.Routes[0]) },
		byWebhook + `spec.routes[1].dst: Invalid value: "192.168.0.0/16": routes[0] has the same destination`,
	},
	"default route beside a gateway": {
		func(s *crdv1.IPPoolSpec) { s.Routes[0].Dst = "0.0.0.0/0" },
		byWebhook + `spec.routes[0].dst: Invalid value: "0.0.0.0/0": gateway 10.8.0.1 makes the default route already`,
	},
	"podAffinity with an unknown operator": {
		func(s *crdv1.IPPoolSpec) {
			s.PodAffinity = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}}
		},
		byWebhook + `spec.podAffinity.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator`,
	},
	"namespaceAffinity with a bad label": {
		func(s *crdv1.IPPoolSpec) {
			s.NamespaceAffinity = &metav1.LabelSelector{MatchLabels: map[string]string{"a b": "c"}}
		},
		byWebhook + `spec.namespaceAffinity.matchLabels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
	},
	"nodeAffinity without values": {
		func(s *crdv1.IPPoolSpec) {
			s.NodeAffinity = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: metav1.LabelSelectorOpIn}}}
		},
		byWebhook + "spec.nodeAffinity.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
	},
}

var updateRules = map[string]poolRule{
	"subnet changed": {
		func(s *crdv1.IPPoolSpec) { s.Subnet = "10.8.0.0/25" },
		bySchemaOfBase + `spec.subnet: Invalid value: "10.8.0.0/25": subnet is immutable; make another pool instead`,
	},
	"ipVersion changed": {
		func(s *crdv1.IPPoolSpec) { s.IPVersion = new(int64(6)) },
		bySchemaOfBase + `[spec.ipVersion: Invalid value: ipVersion differs from the family of subnet; set it to that family or leave it out, spec.ipVersion: Invalid value: ipVersion is immutable; make another pool instead]`,
	},
	"ips grown over another pool's": {
		func(s *crdv1.IPPoolSpec) { s.IPs = append(s.IPs, "10.8.0.45-10.8.0.60") },
		byWebhookOfBase + `spec.ips[2]: Invalid value: "10.8.0.45-10.8.0.60": overlaps pool "pool-rules-neighbour": 10.8.0.45-10.8.0.49`,
	},
	"ips grown over its own": {
		func(s *crdv1.IPPoolSpec) { s.ExcludeIPs, s.IPs = nil, append(s.IPs, "10.8.0.30-10.8.0.31") },
		byWebhookOfBase + `spec.ips[2]: Invalid value: "10.8.0.30-10.8.0.31": overlaps spec.ips[1] (10.8.0.30)`,
	},
}

// warnings collects what the API server warns of.
type warnings []string

func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	*w = append(*w, text)
}

func nestedIsWarnedOf(t *testing.T, e *behaviours.Env) {
	var warned warnings
	cfg := rest.CopyConfig(e.Config)
	cfg.WarningHandlerWithContext = &warned
	c, err := client.New(cfg, client.Options{Scheme: e.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	pool := goodPool("pool-rules-wide")
	pool.Spec.Subnet = "10.8.0.0/16"
	pool.Spec.IPs, pool.Spec.ExcludeIPs = []string{"10.8.9.1-10.8.9.9"}, nil
	if err := c.Create(t.Context(), pool, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	want := warnings{
		`spec.subnet: 10.8.0.0/16 contains the subnet of pool "pool-rules-base" (10.8.0.0/24), "pool-rules-neighbour" (10.8.0.0/24), "pool-rules-other" (10.8.1.0/24)`,
	}
	if diff := cmp.Diff(want, warned); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}
