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

// PoolRules: each rule of a pool refuses with its exact message, whether the
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
	ofBase    = `SpiderIPPool.spiderpool.spidernet.io "pool-rules-base" is invalid: `
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

var createRules = map[string]poolRule{}

var updateRules = map[string]poolRule{}

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
		`spec.subnet: 10.8.0.0/16 contains the subnet of pool "pool-rules-base" (10.8.0.0/24), "pool-rules-other" (10.8.1.0/24)`,
	}
	if diff := cmp.Diff(want, warned); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}
