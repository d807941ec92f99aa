package controlplane

import (
	"context"
	_ "embed" // the manifest
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed pool-rules.yaml
var poolRulesManifest []byte

// PoolRules proves: each rule of a pool refuses with its exact message, whether the schema, CEL or
// the webhook says it; nested subnets are warned of, and so is what of a subnet is no address like
// others.
var PoolRules = behaviours.Behaviour{ID: "pool-rules", Manifest: poolRulesManifest, Test: poolRules}

// poolRule is a rule, the change of a good pool that breaks it, and what is said.
type poolRule struct {
	change func(*crdv1.IPPoolSpec)
	want   string
}

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
	for name, rule := range typeRules {
		t.Run("type/"+name, func(t *testing.T) { rule.refused(t, e) })
	}
	t.Run("nested subnets are warned of", func(t *testing.T) { nestedIsWarnedOf(t, e) })
	t.Run("the network's own addresses are warned of", func(t *testing.T) { networkIsWarnedOf(t, e) })
	t.Run("lists of the most entries are read within the budget of CEL", func(t *testing.T) {
		if err := e.Client.Create(t.Context(), longestPool(), client.DryRunAll); err != nil {
			t.Error(err)
		}
	})
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

// typeRule is a field of a kind with a value of the wrong type, and what is said.
type typeRule struct {
	kind, field string
	value       any
	want        string
}

func (r typeRule) refused(t *testing.T, e *behaviours.Env) {
	spec := map[string]any{r.field: r.value}
	if r.kind == "SpiderIPPool" {
		spec["subnet"] = "10.8.0.0/24"
	}
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetGroupVersionKind(crdv1.GroupVersion.WithKind(r.kind))
	object.SetName("pool-rules-bad")
	expect(t, e.Client.Create(t.Context(), object), r.want)
}

// longestPool has as many entries as a pool may have, as long as they may be: they cost the most
// when they are checked.
func longestPool() *crdv1.SpiderIPPool {
	pool := goodPool("pool-rules-long")
	pool.Spec = crdv1.IPPoolSpec{Subnet: "fc00:8888:8888:8888::/64"}
	for i := range 4096 {
		address := func(tail int) string { return fmt.Sprintf("fc00:8888:8888:8888:8888:8888:%x:%x", 0x1000+i, tail) }
		pool.Spec.IPs = append(pool.Spec.IPs, address(0x1000)+"-"+address(0xffff))
		pool.Spec.ExcludeIPs = append(pool.Spec.ExcludeIPs, address(0x1000)+"-"+address(0xfff0))
	}
	return pool
}

// warnings collects what the API server warns of.
type warnings []string

func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	*w = append(*w, text)
}

func nestedIsWarnedOf(t *testing.T, e *behaviours.Env) {
	pool := goodPool("pool-rules-wide")
	pool.Spec.Subnet = "10.8.0.0/16"
	pool.Spec.IPs, pool.Spec.ExcludeIPs = []string{"10.8.9.1-10.8.9.9"}, nil
	expectWarnings(t, e, pool,
		`spec.subnet: 10.8.0.0/16 contains the subnet of pool "pool-rules-base" (10.8.0.0/24), "pool-rules-neighbour" (10.8.0.0/24), "pool-rules-other" (10.8.1.0/24)`,
	)
}

func networkIsWarnedOf(t *testing.T, e *behaviours.Env) {
	pool := goodPool("pool-rules-whole")
	pool.Spec.IPs = []string{"10.8.0.0", "10.8.0.254-10.8.0.255"}
	pool.Spec.ExcludeIPs = nil
	expectWarnings(t, e, pool,
		`spec.ips: 10.8.0.255 is the broadcast address of subnet 10.8.0.0/24 and is never handed out`,
		`spec.ips: 10.8.0.0 is the network address of subnet 10.8.0.0/24 and is handed out: some hosts and routers do not talk to it; exclude it if in doubt`,
	)
}

// expectWarnings makes a pool without storing it.
func expectWarnings(t *testing.T, e *behaviours.Env, pool *crdv1.SpiderIPPool, want ...string) {
	t.Helper()
	var warned warnings
	cfg := rest.CopyConfig(e.Config)
	cfg.WarningHandlerWithContext = &warned
	c, err := client.New(cfg, client.Options{Scheme: e.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), pool, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(warnings(want), warned); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}
